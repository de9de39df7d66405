package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"context"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/release"
)

func statusCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "show what is live, standby or left over, and whether the site serves", OnUsageError: usage,
		Description: "Exit status 0 means that the live droplet's own attempt answered through the reserved IP, healthy, and that\n" +
			"every standby could take over; 4, that one could not.\n\n" +
			"    cattle status\n" +
			"    cattle status --json",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
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
	// Volumes are those of block storage that the profile names.
	Volumes []volumeJSON `json:"volumes,omitempty"`
	// State is of the live droplet's data, where it could be asked.
	State   *stateJSON  `json:"state,omitempty"`
	Issued  *issuedJSON `json:"certificates,omitempty"`
	Monthly float64     `json:"monthly_usd"`
	unread  error       // why the snapshots are not known
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
	// Ready tells of a standby whether it could take over, Problem why not, and
	// Unchecked what was not looked at.
	Ready     *bool  `json:"ready,omitempty"`
	Problem   string `json:"problem,omitempty"`
	Unchecked string `json:"unchecked,omitempty"`
	// Pinned is since when rebuilds leave the live droplet alone.
	Pinned *time.Time `json:"pinned,omitempty"`
}

func status(ctx context.Context, std stdio, file string, asJSON bool) error {
	o, site, w, err := survey(ctx, std, file, false)
	if err != nil {
		return err
	}
	if err := logInIfCan(std, o, site, w); err != nil {
		return err
	}
	defer o.Login.Close()
	asked := askLive(ctx, o, site, w)
	verdict, standbys := o.Check(ctx, site, w)
	said := <-asked
	out := statusOf(site, w, verdict)
	out.add(standbys)
	out.State, out.Issued = briefToJSON(said), issuedOf(site, w, said)
	brief := briefOf(said)
	out.Volumes = volumesToJSON(w, brief)
	if asJSON {
		err = writeJSON(std.out, out)
	} else {
		err = out.print(std, w.Now)
	}
	if !verdict.Serving {
		return errors.Join(err, &notServing{site.App, verdict.Err, w, standbys, bringBack(w, brief)})
	}
	if wrong := slices.Concat(notReady(standbys), heldFailure(brief, w), keptFailures(brief), dueFailures(site, said, w)); len(wrong) > 0 {
		err = errors.Join(err, &needing{wrong})
	}
	return err
}

// askLiveWithin bounds the question to the live droplet, login included.
const askLiveWithin = 5 * time.Second

// askLive has the live droplet tell how it is; nil where there is nothing to
// ask it, or it does not tell: whether it serves is asked as visitors do.
func askLive(ctx context.Context, o *release.Operator, site release.Site, w *release.World) <-chan *droplets.MachineStatus {
	out := make(chan *droplets.MachineStatus, 1)
	if o.Login == nil || !askable(site, w) {
		out <- nil
		return out
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, askLiveWithin)
		defer cancel()
		s, err := o.LiveStatus(ctx, w)
		if err != nil {
			out <- nil
			return
		}
		out <- &s
	}()
	return out
}

// askable tells that there is a droplet which knows of certificates, or of data.
func askable(site release.Site, w *release.World) bool {
	return (limited(site) || site.Wild() || site.State || site.Backups) && w.Live != nil && w.Live.Born
}

// limited tells that certificates for the site's names are counted.
func limited(site release.Site) bool { return site.Limited && len(site.Domains) > 0 }

// issuedOf is how many certificates were issued for the site's names; nil where
// nobody told.
func issuedOf(site release.Site, w *release.World, said *droplets.MachineStatus) *issuedJSON {
	if said == nil || !limited(site) {
		return nil
	}
	return issuedToJSON(release.IssuedFor(site.Domains, said.Issued, w.Now))
}

// logInIfCan finds the operator's SSH key where there is a droplet to look into.
// Without one less is looked at; one that was named and cannot be read is an error.
func logInIfCan(std stdio, o *release.Operator, site release.Site, w *release.World) (err error) {
	if len(w.Standbys) == 0 && !askable(site, w) {
		return nil
	}
	if o.Login, err = login(std); errors.Is(err, droplets.ErrNoSSHKey) {
		o.Login, err = nil, nil
	}
	return err
}

// notReady are the failures of status where the site serves, and what a
// rollback would go back to could not.
func notReady(standbys []release.Readiness) (out []failure) {
	for _, r := range standbys {
		if r.Problem == nil {
			continue
		}
		c := cureFor(r.Problem)
		if c.code == "" {
			c.code = "standby-not-ready"
		}
		hint := c.hint
		switch {
		case r.Standby.Status == "off":
			hint = fmt.Sprintf("doctl compute droplet-action power-on %d", r.Standby.ID)
		case hint == "":
			hint = fmt.Sprintf("to look at it: cattle ssh --to %d; a rebuild makes a standby of what is live: cattle rebuild", r.Standby.ID)
		}
		out = append(out, failure{Code: c.code, Msg: fmt.Sprintf("the standby %s could not take over: %v", r.Standby.Name, r.Problem), Hint: hint})
	}
	return out
}

// notServing is the failure of status: the command worked, the site does not.
type notServing struct {
	app string
	err error
	w   *release.World
	// standbys are those that were looked at; nil: nobody did.
	standbys []release.Readiness
	closed   string // what to do about a live droplet that waits for a volume; "": it does not
}

func (e *notServing) Error() string { return fmt.Sprintf("%s does not serve: %v", e.app, e.err) }

func (e *notServing) Unwrap() error { return e.err }

// proxied tells that the proxy did not answer, so that nobody asked the site.
func (e *notServing) proxied() bool {
	var way, proxy *net.OpError
	return errors.As(e.err, &way) && way.Op == "socks connect" && errors.As(way.Err, &proxy)
}

func (e *notServing) hint() string {
	back := e.wayBack()
	switch {
	case e.proxied():
		return "the proxy of ALL_PROXY does not answer, so this says nothing of the site"
	case e.closed != "":
		return e.closed
	case back != "":
		return back
	case e.w.Live != nil:
		return "cattle rebuild"
	}
	return "cattle release VERSION"
}

// wayBack is the command that goes back to the newest standby that could take
// over, "" if there is none.
func (e *notServing) wayBack() string {
	if e.standbys == nil && len(e.w.Standbys) > 0 {
		return "cattle rollback"
	}
	for i, r := range e.standbys {
		switch {
		case r.Problem == nil && i == 0:
			return "cattle rollback"
		case r.Problem == nil:
			return "cattle rollback " + r.Standby.Birth.Release
		}
	}
	return ""
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
		if since, pinned := w.Live.Pinned(); pinned {
			out.Droplets[0].Pinned = &since
		}
	}
	add("standby", w.Standbys...)
	add("candidate", w.Candidates...)
	add("baking", w.Baking...)
	add("orphan", w.Orphans...)
	add("unknown", w.Unknown...)
	add("ending", w.Ending...)
	out.unread = w.SnapshotsErr
	for _, v := range w.Volumes {
		if v.Is != nil {
			out.Monthly += v.PriceMonthly()
		}
	}
	for _, s := range w.Snapshots {
		out.Monthly += s.PriceMonthly()
		out.Snapshots = append(out.Snapshots, snapshotJSON{s.ID, s.Name, s.At, s.SizeGB, s.PriceMonthly(), w.Fits(site, s)})
	}
	return out
}

// add says of each standby whether it could take over.
func (s *statusJSON) add(standbys []release.Readiness) {
	for _, r := range standbys {
		i := slices.IndexFunc(s.Droplets, func(d dropletJSON) bool { return d.ID == r.Standby.ID })
		ready := r.Problem == nil
		s.Droplets[i].Ready, s.Droplets[i].Unchecked = &ready, r.Unchecked
		if !ready {
			s.Droplets[i].Problem = r.Problem.Error()
		}
	}
}

// note is what a reader of the table has to know of a droplet.
func (d dropletJSON) note() string {
	var parts []string
	switch {
	case d.Problem != "":
		parts = append(parts, "could not take over: "+d.Problem)
	case d.Unchecked != "":
		parts = append(parts, "not checked: "+d.Unchecked)
	case d.Role == "candidate", d.Role == "baking":
		parts = append(parts, "under way; to end it: cattle gc --attempt "+d.Attempt)
	case d.Role == "ending":
		parts = append(parts, "something is under way with it, its end most likely")
	case d.Role == "unknown":
		parts = append(parts, fmt.Sprintf("its tags were edited; to end it: doctl compute droplet delete %d", d.ID))
	case d.Pinned != nil:
		parts = append(parts, "pinned since "+d.Pinned.UTC().Format(time.RFC3339)+": no rebuild until cattle release VERSION, or cattle unpin")
	}
	if d.GC != "" {
		parts = append(parts, "gc destroys it: "+d.GC)
	}
	return strings.Join(parts, "; ")
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
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t$%.2f a month\t%s\n",
			d.Role, orNone(d.Release), d.Status, d.ID, orNone(d.Address), age(now.Sub(d.Created)), d.Monthly, d.note())
	}
	t.Flush()
	b.WriteString(s.stateLine() + s.backupLine() + s.volumesText())
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
	if s.Issued != nil {
		fmt.Fprintf(&b, "certificates: %d of %d issued in 7 days for this set of names\n", s.Issued.Issued, s.Issued.Limit)
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
