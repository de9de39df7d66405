package droplets

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"time"

	"github.com/digitalocean/godo"
)

// An answer of the API is no proof. Where it enters, text is made safe to show
// (Line), and what cannot be is an error and no fact: an answer about something
// else than was asked for, an id below 1, an address that is none. Whether the
// request was carried out is then as open as without an answer: Uncertain.
var (
	errNonsense  = errors.New("the API's answer cannot be")
	errNoAddress = errors.New("that is no IPv4 address")
	errNoTag     = errors.New("that is no tag")
)

// tagRE is what the API's description allows in a tag. An address or a tag is
// part of a request's path: one with a slash would make it another request.
// The length is looked at apart: to compile a repetition of 255 takes longer
// than what all other expressions of this room do together.
var tagRE = regexp.MustCompile(`^[A-Za-z0-9_:-]+$`)

func isTag(s string) bool { return len(s) <= 255 && tagRE.MatchString(s) }

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

// given makes an answer without its object an error: 200 and {}.
func given[T any](object *T, err error) error {
	if err == nil && object == nil {
		return fmt.Errorf("%w: there is nothing in it", errNonsense)
	}
	return err
}

func lines(ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = Line(s)
	}
	return out
}

func fromDroplet(d *godo.Droplet) (Droplet, error) {
	if d.ID < 1 {
		return Droplet{}, fmt.Errorf("%w: a droplet has the id %d", errNonsense, d.ID)
	}
	out := Droplet{ID: d.ID, Name: Line(d.Name), Status: Line(d.Status), Locked: d.Locked, Size: Line(d.SizeSlug), Tags: lines(d.Tags), Snapshots: d.SnapshotIDs, VPC: Line(d.VPCUUID)}
	out.Created, _ = time.Parse(time.RFC3339, d.Created)
	if d.Region != nil {
		out.Region = Line(d.Region.Slug)
	}
	if d.Image != nil {
		out.Image = Line(d.Image.Slug)
	}
	if d.Size != nil {
		out.PriceMonthly = d.Size.PriceMonthly
	}
	if d.Networks == nil {
		return out, nil
	}
	for _, v4 := range d.Networks.V4 {
		switch {
		case !isIPv4(v4.IPAddress):
		case v4.Type == "public":
			out.Public = append(out.Public, v4.IPAddress)
		case v4.Type == "private":
			out.Private = v4.IPAddress
		}
	}
	return out, nil
}

func fromReservedIP(r *godo.ReservedIP) (out ReservedIP, err error) {
	if !isIPv4(r.IP) {
		return out, fmt.Errorf("%w: a reserved IP is %q", errNonsense, Line(r.IP))
	}
	out = ReservedIP{IP: r.IP, Project: Line(r.ProjectID), Locked: r.Locked}
	if r.Region != nil {
		out.Region = Line(r.Region.Slug)
	}
	if r.Droplet != nil {
		out.Droplet, err = fromDroplet(r.Droplet)
		out.DropletID = out.Droplet.ID
	}
	return out, err
}

func fromImage(i *godo.Image) Snapshot {
	return Snapshot{ID: i.ID, Name: Line(i.Name), Status: Line(i.Status), Regions: lines(i.Regions), Tags: lines(i.Tags),
		MinDisk: i.MinDiskSize, SizeGB: i.SizeGigaBytes}
}

func fromActions(as []godo.Action) []Action {
	out := make([]Action, len(as))
	for i, a := range as {
		out[i] = Action{Type: Line(a.Type), Status: Line(a.Status)}
		if a.StartedAt != nil {
			out[i].Started = a.StartedAt.Time
		}
		if a.CompletedAt != nil {
			out[i].Completed = a.CompletedAt.Time
		}
	}
	return out
}
