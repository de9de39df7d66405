package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/profiles"
)

// maxSkew is how far the clock may be off: leases and certificates are a
// matter of minutes.
const maxSkew = 30 * time.Second

func doctorCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look for what would stop a release; --measure times this account's cloud", OnUsageError: usage,
		Description: "Reads the account and creates nothing. With --measure it makes two droplets and a reserved IP\n" +
			"for some minutes, and prints what they did for a bug report. Exit status 0: nothing is wrong.\n\n" +
			"    cattle doctor\n" +
			"    cattle doctor --json\n" +
			"    cattle doctor --measure",
		Flags: []cli.Flag{fileFlag(), jsonFlag(), yesFlag(),
			&cli.BoolFlag{Name: "measure", Usage: "create droplets and move an address between them, to see how long it takes; costs a few cents"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("measure") {
				return measureAccount(c.Context, std, c.String("file"), c.Bool("json"), c.Bool("yes"))
			}
			return doctor(c.Context, std, c.String("file"), c.Bool("json"))
		},
	}
}

// A finding is one thing that was looked at: what is the case and, where it is
// wrong, its cure.
type finding struct {
	About string `json:"about"`
	Found string `json:"found"`
	Cure  string `json:"cure,omitempty"` // empty: nothing is wrong
}

// ailing is the failure of doctor: the command worked, something is wrong.
type ailing struct{ findings []finding }

func (e *ailing) Error() string { return count(len(e.findings), "thing") + " would stop a release" }

// patient is what findings are about.
type patient struct {
	std   stdio
	cloud droplets.Cloud
	where profiles.Droplet
}

func doctor(ctx context.Context, std stdio, file string, asJSON bool) error {
	p, err := examined(std, file)
	if err != nil {
		return err
	}
	var all, wrong []finding
	for _, look := range []func(context.Context) finding{p.account, p.quota, p.clock, p.key, p.size, p.image} {
		f := look(ctx)
		all = append(all, f)
		if f.Cure != "" {
			wrong = append(wrong, f)
		}
		if f.About == "token" && f.Cure != "" {
			break // nothing else can be read
		}
	}
	if err := printFindings(std, all, asJSON); err != nil || len(wrong) == 0 {
		return err
	}
	return &ailing{wrong}
}

// examined takes region, size and image from the profile, where there is one;
// else they are the defaults of all profiles.
func examined(std stdio, file string) (*patient, error) {
	cloud, err := cloudFromEnv(std)
	if err != nil {
		return nil, err
	}
	p := &patient{std: std, cloud: cloud, where: profiles.Droplet{Region: "nyc3", Size: "s-1vcpu-1gb", Image: "debian-13-x64"}}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	profile, err := loadQuietly(file)
	if err != nil {
		return nil, err
	}
	p.where = profile.Droplet
	return p, nil
}

func printFindings(std stdio, all []finding, asJSON bool) error {
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "doctor", "findings": all})
	}
	var b strings.Builder
	for _, f := range all {
		word := "ok"
		if f.Cure != "" {
			word = "WRONG"
		}
		fmt.Fprintf(&b, "%-6s %-8s %s\n", word, f.About, droplets.Printable(f.Found))
		if f.Cure != "" {
			fmt.Fprintf(&b, "%-15s to mend it: %s\n", "", f.Cure)
		}
	}
	return say(std.out, b.String())
}

// failed is a finding about a question that had no answer.
func failed(about string, err error) finding {
	cure := hintFor(err)
	if cure == "" {
		cure = "try again; https://status.digitalocean.com tells of outages"
	}
	return finding{about, err.Error(), cure}
}

func (p *patient) account(ctx context.Context) finding {
	a, err := p.cloud.Account(ctx)
	switch {
	case err != nil:
		return failed("token", err)
	case a.Status != "active":
		return finding{"token", "accepted, and the account is " + a.Status, "read what DigitalOcean says at https://cloud.digitalocean.com"}
	}
	return finding{"token", "accepted; the account is active", ""}
}

// quota wants room for the fresh droplet of a release.
func (p *patient) quota(ctx context.Context) finding {
	a, err := p.cloud.Account(ctx)
	if err != nil {
		return failed("limits", err)
	}
	n, err := p.cloud.CountDroplets(ctx)
	if err != nil {
		return failed("limits", err)
	}
	ips, err := p.cloud.ReservedIPs(ctx)
	if err != nil {
		return failed("limits", err)
	}
	f := finding{"limits", fmt.Sprintf("%d of %d droplets, %d of %d reserved IPs", n, a.DropletLimit, len(ips), a.ReservedIPLimit), ""}
	if n >= a.DropletLimit {
		f.Cure = "a release needs a spare droplet: cattle gc, or ask for more at https://cloud.digitalocean.com/account/team/droplet_limit_increase"
	}
	return f
}

// clock compares this computer's with the API's, which dates all its answers.
func (p *patient) clock(ctx context.Context) finding {
	url := p.std.env("DIGITALOCEAN_API_URL")
	if url == "" {
		url = "https://api.digitalocean.com"
	}
	// Without a token: the date is on the refusal too.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/v2/account", nil)
	if err != nil {
		return failed("clock", err)
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return failed("clock", err)
	}
	resp.Body.Close()
	said, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return failed("clock", err)
	}
	// The header has whole seconds, and is of some moment of the call.
	skew := max(time.Until(said), start.Sub(said.Add(time.Second)), 0)
	f := finding{"clock", fmt.Sprintf("within %s of the API's", maxSkew), ""}
	if skew > maxSkew {
		f = finding{"clock", fmt.Sprintf("%s off the API's", skew.Round(time.Second)), "set it: timedatectl set-ntp true"}
	}
	return f
}

// key wants one at hand that the account puts on droplets.
func (p *patient) key(ctx context.Context) finding {
	l, err := login(p.std)
	var use *usageError
	switch {
	case errors.As(err, &use):
		return finding{"ssh key", use.msg, use.hint}
	case err != nil:
		return failed("ssh key", err)
	}
	defer l.Close()
	keys, err := p.cloud.SSHKeys(ctx)
	if err != nil {
		return failed("ssh key", err)
	}
	for _, k := range keys {
		if slices.Contains(l.Fingerprints(), k.Fingerprint) {
			return finding{"ssh key", "at hand, and in the account as " + k.Name, ""}
		}
	}
	return finding{"ssh key", "no key at hand is in the account", "doctl compute ssh-key import cattle --public-key-file ~/.ssh/id_ed25519.pub"}
}

func (p *patient) size(ctx context.Context) finding {
	sizes, err := p.cloud.Sizes(ctx)
	if err != nil {
		return failed("size", err)
	}
	for _, s := range sizes {
		if s.Slug == p.where.Size && s.Available && slices.Contains(s.Regions, p.where.Region) {
			return finding{"size", fmt.Sprintf("%s is on offer in %s for $%.2f a month", s.Slug, p.where.Region, s.PriceMonthly), ""}
		}
	}
	return finding{"size", p.where.Size + " is not on offer in " + p.where.Region, "doctl compute size list, and set droplet.size"}
}

func (p *patient) image(ctx context.Context) finding {
	i, err := p.cloud.Image(ctx, p.where.Image)
	switch {
	case droplets.NotFound(err):
		return finding{"image", "there is no image " + p.where.Image, "doctl compute image list-distribution, and set droplet.image"}
	case err != nil:
		return failed("image", err)
	case i.Status != "available" || !slices.Contains(i.Regions, p.where.Region):
		return finding{"image", p.where.Image + " is not on offer in " + p.where.Region, "doctl compute image list-distribution, and set droplet.image"}
	}
	return finding{"image", p.where.Image + " is on offer", ""}
}
