package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

// A Step is one line of the plan and the code that carries it out: what is
// printed is what runs.
type Step struct {
	Name  string
	Title string // what it will do, for the reader of the plan
	run   func(*run, context.Context) error
	// commits tells that nothing is undone any more once the step is done.
	commits bool
	// after tells that the step comes after the confirm: its failure leaves
	// something over, and undoes nothing.
	after bool
	// stops tells that an interrupt in the middle of it ends it all the same.
	stops bool
	// held tells that writes wait while it runs: it has what is left of the time
	// that they may.
	held bool
}

// A Plan is what a command will do. It is made from a survey without any
// request, printed, and then executed as it is.
type Plan struct {
	Verb    string // release, rebuild, rollback or bake
	Site    Site
	World   *World
	Release string
	Steps   []Step
	Changes []Change // against the live release
	Cost    Cost
	// Issued are certificates for the site's names; none where nobody knows.
	Issued Issued

	candidate *Candidate // of a release or rebuild
	target    *Member    // of a rollback: the standby to go back to
	data      Data       // of a rollback
	// Base is the snapshot that the candidate begins from; nil: the public image.
	Base *Snapshot
}

// Change is one difference to the live release.
type Change struct {
	What, From, To string
}

// Cost is in US dollars, of droplets and volumes alone: a reserved IP is free while it is assigned.
type Cost struct {
	Monthly float64 // when the plan is done: live and standbys
	Before  float64 // now
	Overlap float64 // an hour of the candidate beside what runs now
}

// PlanRelease plans to put the candidate on a droplet of its own and to move
// the reserved IP to it. The error is *Preflight.
func PlanRelease(verb string, site Site, w *World, c *Candidate) (*Plan, error) {
	if faults := append(w.preflight(site, c), w.certificateFault(verb, site, c)...); len(faults) > 0 {
		return nil, &Preflight{faults, w.Serving()}
	}
	p := &Plan{Verb: verb, Site: site, World: w, Release: c.Release, candidate: c}
	if verb != "rebuild" { // which is there for today's packages
		p.Base = w.base(site, c)
	}
	p.Steps = append(append(p.wall(), p.makeVolumes()...),
		Step{Name: "create", Title: p.createTitle(), run: (*run).create},
		Step{Name: "boot", Title: p.bootTitle(), run: (*run).boot})
	if w.Live != nil && w.Live.Born && !c.NoHandoff {
		p.Steps = append(p.Steps, Step{Name: "handoff", Title: fmt.Sprintf("carry the certificates over from %s", w.Live.Name), run: (*run).handoff})
	}
	p.Steps = append(p.Steps, p.ahead()...)
	p.Steps = append(p.Steps, p.commit()...)
	p.Changes = p.changes()
	p.Cost = p.cost(w.Size(site.Size).PriceMonthly, w.Size(site.Size).PriceHourly)
	if c.Live != nil {
		p.Issued = IssuedFor(site.Domains, c.Live.Issued, w.Now)
	}
	return p, nil
}

// PlanRollback plans to move the reserved IP to a standby: the newest one, or
// the newest of that release.
func PlanRollback(site Site, w *World, version string, data Data) (*Plan, error) {
	if faults := w.ipFaults(site); len(faults) > 0 {
		return nil, &Preflight{faults, w.Serving()}
	}
	i := slices.IndexFunc(w.Standbys, func(m Member) bool { return version == "" || m.Birth.Release == version })
	if i < 0 {
		return nil, noStandby(w, version)
	}
	target := w.Standbys[i]
	if faults := w.volumesElsewhere(site); len(faults) > 0 {
		return nil, &Preflight{faults, w.Serving()}
	}
	data, faults := w.decide(site, target, data)
	if len(faults) > 0 {
		return nil, &Preflight{faults, w.Serving()}
	}
	p := &Plan{Verb: "rollback", Site: site, World: w, Release: target.Birth.Release, target: &target, data: data}
	p.Steps = []Step{{Name: "reach", Title: fmt.Sprintf("log in to the standby %s", target.Name), run: (*run).reach}}
	if w.Live != nil && w.Live.Born {
		p.Steps = append(p.Steps, Step{Name: "handoff", Title: fmt.Sprintf("carry the certificates back from %s, if it still answers", w.Live.Name), run: (*run).handoffIfReachable})
	}
	p.Steps = append(p.Steps, p.commit()...)
	if w.Around.Err != nil {
		p.Steps = append(p.Steps, Step{Name: "surroundings", Title: "leave records and firewall as they are: they could not be read", run: (*run).unseen, after: true})
	}
	p.Changes = p.changes()
	p.Cost = p.cost(0, 0)
	return p, nil
}

// unseen ends a rollback that could not see whether the names lead to it, and
// that was held up by nothing of it: it serves, and is not known to be whole.
func (r *run) unseen(context.Context) error {
	return &byHand{r.world.Around.Err, "cattle plan " + r.plan.Release}
}

// Notices are what a rollback, which nothing but the standby may hold up,
// leaves as it is.
func (p *Plan) Notices() (out []string) {
	if p.target == nil || p.World.Around.Err != nil {
		return nil
	}
	for _, f := range p.World.AroundFaults(p.Site) {
		out = append(out, "left as it is: "+f.Msg)
	}
	return out
}

func noStandby(w *World, version string) error {
	f := Fault{Code: "no-standby", Msg: "there is no standby to go back to", Hint: "cattle release VERSION puts an older version on a fresh droplet"}
	if version != "" {
		f = Fault{Code: "no-standby", Msg: "no standby runs release " + version, Hint: "cattle release " + version}
	}
	if len(w.Standbys) > 0 {
		var have []string
		for _, m := range w.Standbys {
			have = append(have, m.Birth.Release)
		}
		f.Msg += "; there is " + strings.Join(have, ", ")
	}
	return &Preflight{[]Fault{f}, w.Serving()}
}

// Remedy is the command that cleans up should the process end with that event;
// begun is false for an event that changes nothing about it. A droplet that is
// not confirmed yet goes by its attempt; what comes after the confirm, gc
// finishes. A rollback makes nothing: it leaves a site that one looks at.
func (p *Plan) Remedy(e Event) (command string, begun bool) {
	i := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == e.Step })
	switch {
	case e.Kind != KindStep || e.State != StateRunning || i < 0:
		return "", false
	case p.candidate != nil && (p.bakes() || !p.Steps[i].after):
		return "cattle gc --attempt " + p.candidate.Attempt, true
	case p.Steps[i].after:
		return "cattle gc", true
	}
	return "cattle status", true
}

// commit are the steps that releases and rollbacks share, from the gate on.
func (p *Plan) commit() []Step {
	s, h := p.Site, p.Site.Health
	steps := append(p.dataSteps(),
		Step{Name: "gate", Title: fmt.Sprintf("on its own address: GET %s is %d, %d times in a row within %s; services up; no usual port open but 22, 80, 443",
			h.Path, h.Status, h.Successes, brief(h.Deadline)), run: (*run).gate, held: p.waits()})
	steps = append(steps, p.beforeSwitch()...)
	if p.guards() && !p.moves() {
		steps = append(steps, p.guardStep())
	}
	if !p.takes() { // else the standby has to have its volumes to be gated
		steps = append(steps, p.giveUp()...)
	}
	steps = append(steps,
		Step{Name: "switch", Title: p.switchTitle(), run: (*run).switchOver},
		// Once writes go, what they wrote is on the new droplet alone.
		Step{Name: "confirm", Title: p.confirmTitle(), run: (*run).confirm, commits: !p.watches() || p.opens() || p.begins()})
	steps = append(steps, p.opening()...)
	if p.target != nil {
		steps = append(steps, p.wall()...)
	}
	steps = append(steps, slices.Concat(p.project(), p.dns())...)
	if len(s.Domains) > 0 {
		steps = append(steps, Step{Name: "certificate", Title: "its certificate covers " + strings.Join(s.Domains, ", "), run: (*run).certificate, after: true})
	}
	if p.watches() {
		steps = append(steps, Step{Name: watchStep, Title: p.watchTitle(), run: (*run).watch, commits: true})
	}
	steps = append(steps, p.mailSteps()...)
	steps = append(steps,
		Step{Name: "retire", Title: p.retireTitle(), run: (*run).retire, after: true},
		Step{Name: "record", Title: "write it into the history, which stays with the live droplet", run: (*run).record, after: true})
	return append(steps, p.afterRelease()...)
}

func (p *Plan) guardStep() Step {
	return Step{Name: "guard", Title: p.guardTitle(), run: (*run).arm}
}

func (p *Plan) createTitle() string {
	s := p.Site
	title := fmt.Sprintf("order a droplet: %s, %s, in %s", s.Size, s.Image, s.Region)
	if p.Base != nil {
		title += ", from the snapshot of " + p.Base.Ago(p.World.Now)
	}
	return title
}

func (p *Plan) bootTitle() string {
	t := "boot within " + brief(p.Site.BootWithin)
	if p.candidate.Key != nil {
		t += ", deliver the key to its secrets over SSH"
	}
	if images := p.candidate.Images; images != nil {
		t += ", bring it " + images.String()
	}
	return t
}

func (p *Plan) switchTitle() string {
	w := p.World
	switch {
	case w.Reserved.IP == "":
		return "make a reserved IP that points at it"
	case w.Live != nil:
		t := fmt.Sprintf("move %s from %s to it", w.Reserved.IP, w.Live.Name)
		if p.moves() || p.discards() || p.closes() {
			t += ", which writes no more"
		}
		return t
	case w.Reserved.DropletID != 0:
		return fmt.Sprintf("move %s from droplet %d, which is not cattle's and stays as it is, to it", w.Reserved.IP, w.Reserved.DropletID)
	}
	return fmt.Sprintf("point %s at it", w.Reserved.IP)
}

func (p *Plan) confirmTitle() string {
	t := "through the reserved IP this attempt answers, healthy; or the IP goes back"
	if p.guards() {
		t += fmt.Sprintf("; then disarm %s", p.World.Live.Name)
	}
	return t
}

func (p *Plan) retireTitle() string {
	keep, end := p.afterwards()
	var parts []string
	if p.target != nil {
		parts = append(parts, "pin it, so that no rebuild replaces it")
	}
	for _, m := range keep {
		t := "keep " + m.Name + " as standby"
		if p.Site.StandbyFor > 0 {
			t += " for " + brief(p.Site.StandbyFor)
		}
		parts = append(parts, t)
	}
	for _, m := range end {
		parts = append(parts, "destroy "+m.Name)
	}
	for _, m := range p.unknown() {
		parts = append(parts, fmt.Sprintf("leave %s (droplet %d) running, whose tags were edited", m.Name, m.ID))
	}
	if len(parts) == 0 {
		return "nothing to retire"
	}
	return strings.Join(parts, "; ")
}

// unknown are droplets of the app that nobody can tell what they are: they
// are never destroyed, and bill.
func (p *Plan) unknown() []Member {
	out := p.World.Unknown
	if live := p.World.Live; live != nil && !live.Born {
		out = append(slices.Clone(out), *live)
	}
	return out
}

// afterwards sorts what will be beside the new live droplet into what is kept
// and what is destroyed: the droplet that was live just now comes first, then
// the newest. A live droplet that nobody confirmed comes last: it must not
// push out the one that is known to serve.
func (p *Plan) afterwards() (keep, end []Member) {
	var standbys, last []Member
	if live := p.World.Live; live != nil && live.Born {
		if live.Has(droplets.ServedTag) {
			standbys = append(standbys, *live)
		} else {
			last = append(last, *live)
		}
	}
	expired := p.World.expired()
	for _, m := range p.World.Standbys {
		if p.target != nil && m.ID == p.target.ID {
			continue
		}
		if slices.ContainsFunc(expired, func(e Member) bool { return e.ID == m.ID }) {
			end = append(end, m)
			continue
		}
		standbys = append(standbys, m)
	}
	standbys = append(standbys, last...)
	n := min(p.Site.Keep, len(standbys))
	return standbys[:n], slices.Concat(standbys[n:], end, p.World.Orphans)
}

func (p *Plan) changes() []Change {
	around := p.dnsChanges()
	if c := p.wallChange(); c != nil {
		around = append(around, *c)
	}
	return slices.Concat(p.machineChanges(), p.dataChange(), p.volumeChange(), around)
}

func (p *Plan) machineChanges() []Change {
	live := p.World.Live
	if live == nil {
		return []Change{{"release", "", p.Release}}
	}
	var out []Change
	add := func(what, from, to string) {
		if from != to {
			out = append(out, Change{what, from, to})
		}
	}
	add("release", live.Birth.Release, p.Release)
	if p.target != nil {
		add("size", live.Size, p.target.Size)
		return out
	}
	add("size", live.Size, p.Site.Size)
	if live.Image != "" { // one from a snapshot does not tell
		add("image", live.Image, p.Site.Image)
	}
	add("region", live.Region, p.Site.Region)
	if live.Birth.Release == p.Release {
		// Another release is another machine anyway; the same one differs when
		// the profile was changed in between.
		add("machine", short(live.Birth.Digest), short(p.candidate.Digest))
	}
	return out
}

// brief writes a duration without its zeros: 10m, not 10m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func short(digest string) string { return digest[:min(12, len(digest))] }

func (p *Plan) cost(monthly, hourly float64) Cost {
	c := Cost{Monthly: monthly}
	if p.target != nil {
		c.Monthly = p.target.PriceMonthly
	}
	keep, _ := p.afterwards()
	for _, m := range keep {
		c.Monthly += m.PriceMonthly
	}
	for _, m := range slices.Concat(p.World.Standbys, p.World.Orphans) {
		c.Before += m.PriceMonthly
	}
	if p.World.Live != nil {
		c.Before += p.World.Live.PriceMonthly
	}
	if c.Before > 0 {
		c.Overlap = hourly
	}
	return p.withVolumes(c)
}

// Age is how old the live droplet is, in whole seconds; 0 when there is none.
func (w *World) Age() time.Duration {
	if w.Live == nil {
		return 0
	}
	return cmp.Or(w.Now.Sub(w.Live.Created), 1).Truncate(time.Second)
}
