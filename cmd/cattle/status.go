package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"text/tabwriter"
	"time"

	"context"

	"github.com/urfave/cli/v2"

	"cattle/droplets/release"
)

func statusCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show what is live, standby or left over, and whether the site serves", OnUsageError: usage,
		Description: "Exit status 0 means that the live droplet's own attempt answered through the reserved IP, healthy.",
		Flags:       []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return status(c.Context, std, c.String("file"), c.Bool("json"))
		},
	}
}

type statusJSON struct {
	Type     string        `json:"message_type"`
	App      string        `json:"app"`
	IP       string        `json:"reserved_ip,omitempty"`
	Serving  bool          `json:"serving"`
	HTTPS    bool          `json:"https"`
	Problem  string        `json:"problem,omitempty"`
	Droplets []dropletJSON `json:"droplets"`
	// Snapshots are those of cattle bake.
	Snapshots []snapshotJSON `json:"snapshots,omitempty"`
	Monthly   float64        `json:"monthly_usd"`
	unread    error          // why the snapshots are not known
}

type snapshotJSON struct {
	ID      int       `json:"id"`
	Name    string    `json:"name"`
	At      time.Time `json:"at"` // of when its packages are
	SizeGB  float64   `json:"size_gb"`
	Monthly float64   `json:"monthly_usd"`
	Unfit   string    `json:"unfit,omitempty"` // why no release begins from it
}

type dropletJSON struct {
	Role    string    `json:"role"` // live, standby, candidate, baking, orphan or unknown
	ID      int       `json:"id"`
	Name    string    `json:"name"`
	Release string    `json:"release,omitempty"`
	Attempt string    `json:"attempt,omitempty"`
	Address string    `json:"address,omitempty"`
	Status  string    `json:"status"`
	Created time.Time `json:"created"`
	Monthly float64   `json:"monthly_usd"`
	GC      string    `json:"gc,omitempty"` // why gc would destroy it
}

func status(ctx context.Context, std stdio, file string, asJSON bool) error {
	o, site, w, err := survey(ctx, std, file, false)
	if err != nil {
		return err
	}
	verdict := o.Verify(ctx, site, w)
	out := statusOf(site, w, verdict)
	if asJSON {
		err = writeJSON(std.out, out)
	} else {
		err = out.print(std, w.Now)
	}
	if verdict.Serving {
		return err
	}
	return errors.Join(err, &notServing{site.App, verdict.Err, w})
}

// notServing is the failure of status: the command worked, the site does not.
type notServing struct {
	app string
	err error
	w   *release.World
}

func (e *notServing) Error() string { return fmt.Sprintf("%s does not serve: %v", e.app, e.err) }

func (e *notServing) Unwrap() error { return e.err }

func (e *notServing) hint() string {
	var way, proxy *net.OpError
	switch {
	case errors.As(e.err, &way) && way.Op == "socks connect" && errors.As(way.Err, &proxy):
		return "the proxy of ALL_PROXY does not answer, so this says nothing of the site"
	case len(e.w.Standbys) > 0:
		return "cattle rollback"
	case e.w.Live != nil:
		return "cattle rebuild"
	}
	return "cattle release VERSION"
}

func statusOf(site release.Site, w *release.World, v release.Verdict) statusJSON {
	out := statusJSON{Type: "status", Droplets: []dropletJSON{}, App: site.App, IP: w.Reserved.IP, Serving: v.Serving, HTTPS: v.HTTPS}
	if v.Err != nil {
		out.Problem = v.Err.Error()
	}
	garbage := map[int]string{}
	for _, it := range release.PlanGC(site, w, release.GCOptions{}).Items {
		garbage[it.ID] = it.Why
	}
	add := func(role string, ms ...release.Member) {
		for _, m := range ms {
			out.Monthly += m.PriceMonthly
			out.Droplets = append(out.Droplets, dropletJSON{Role: role, ID: m.ID, Name: m.Name, Release: m.Birth.Release, Attempt: m.Birth.Attempt,
				Address: m.Address(w.Reserved.IP), Status: m.Status, Created: m.Created, Monthly: m.PriceMonthly, GC: garbage[m.ID]})
		}
	}
	if w.Live != nil {
		add("live", *w.Live)
	}
	add("standby", w.Standbys...)
	add("candidate", w.Candidates...)
	add("baking", w.Baking...)
	add("orphan", w.Orphans...)
	add("unknown", w.Unknown...)
	add("ending", w.Ending...)
	out.unread = w.SnapshotsErr
	for _, s := range w.Snapshots {
		out.Monthly += s.PriceMonthly()
		out.Snapshots = append(out.Snapshots, snapshotJSON{s.ID, s.Name, s.At, s.SizeGB, s.PriceMonthly(), w.Fits(site, s)})
	}
	return out
}

func (s statusJSON) print(std stdio, now time.Time) error {
	var b strings.Builder
	switch {
	case s.Serving && s.HTTPS:
		fmt.Fprintf(&b, "%s serves at %s over HTTPS\n", s.App, s.IP)
	case s.Serving:
		fmt.Fprintf(&b, "%s serves at %s over HTTP; it has no certificate yet\n", s.App, s.IP)
	default:
		fmt.Fprintf(&b, "%s does not serve\n", s.App)
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, d := range s.Droplets {
		note := ""
		switch {
		case d.GC != "":
			note = "gc destroys it: " + d.GC
		case d.Role == "candidate", d.Role == "baking":
			note = "under way; to end it: cattle gc --attempt " + d.Attempt
		case d.Role == "ending":
			note = "something is under way with it, its end most likely"
		case d.Role == "unknown":
			note = fmt.Sprintf("its tags were edited; to end it: doctl compute droplet delete %d", d.ID)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t$%.2f a month\t%s\n",
			d.Role, orNone(d.Release), d.Status, d.ID, orNone(d.Address), age(now.Sub(d.Created)), d.Monthly, note)
	}
	t.Flush()
	for _, s := range s.Snapshots {
		fmt.Fprintf(&b, "snapshot %s: %s, %.1f GB, $%.2f a month", s.Name, age(now.Sub(s.At)), s.SizeGB, s.Monthly)
		if s.Unfit != "" {
			b.WriteString("; no release begins from it: " + s.Unfit)
		}
		b.WriteByte('\n')
	}
	if s.unread != nil {
		fmt.Fprintf(&b, "snapshots, if there are any, could not be read: %v\n", s.unread)
	}
	fmt.Fprintf(&b, "all of it: $%.2f a month\n", s.Monthly)
	return say(std.out, b.String())
}

// age rounds a droplet's age for people.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min old", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h old", int(d.Hours()))
	}
	return fmt.Sprintf("%d days old", int(d.Hours()/24))
}
