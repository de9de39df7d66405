package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// Report is what a plan came to.
type Report struct {
	Verb    string        `json:"verb"`
	App     string        `json:"app"`
	Release string        `json:"release"`
	Attempt string        `json:"attempt"`
	Droplet int           `json:"droplet"`
	Address string        `json:"address"`
	IP      string        `json:"reserved_ip"`
	NewIP   bool          `json:"new_ip"` // this release made the reserved IP
	Took    time.Duration `json:"took_ns"`
	Steps   []StepTime    `json:"steps"`
	Cutover probe.Stats   `json:"cutover"`
	HTTPS   bool          `json:"https"`         // a certificate covers every domain
	DNS     bool          `json:"dns,omitempty"` // this run made the domains' records lead to the address
	// Watch is what the live site was seen to do after the switch; nil where
	// the profile asks for no watch.
	Watch   *WatchReport  `json:"watch,omitempty"`
	Standby *StandbyAfter `json:"standby,omitempty"`
	// Updates is what a rebuild brought; nil where it could not be told.
	Updates *droplets.Updates `json:"updates,omitempty"`
	// Snapshot is the one that a release began from, or that a bake made.
	Snapshot *SnapshotReport `json:"snapshot,omitempty"`
	// Data is what became of the site's data; nil where it has none.
	Data    *DataReport `json:"data,omitempty"`
	Notices []string    `json:"notices,omitempty"`
	// Visits are the requests through the reserved IP from before the switch to
	// the confirm's end, ten a second for three minutes at most: a watch adds none.
	Visits []probe.Sample `json:"-"`
}

// StepTime is how long a step took.
type StepTime struct {
	Name string        `json:"name"`
	Took time.Duration `json:"took_ns"`
}

// SnapshotReport is a snapshot in a report.
type SnapshotReport struct {
	ID       int       `json:"id"`
	Name     string    `json:"name"`
	Packages string    `json:"packages"`
	At       time.Time `json:"at"`  // of when its packages are
	Ago      string    `json:"ago"` // the same, for people
	SizeGB   float64   `json:"size_gb"`
	Monthly  float64   `json:"monthly_usd"`
}

func reportOf(s Snapshot, now time.Time) *SnapshotReport {
	return &SnapshotReport{s.ID, s.Name, s.Packages, s.At, s.Ago(now), s.SizeGB, s.PriceMonthly()}
}

// StandbyAfter is what a rollback would go back to.
type StandbyAfter struct {
	Release string `json:"release"`
	Droplet int    `json:"droplet"`
}

// run is one execution of a plan.
type run struct {
	*Operator
	plan  *Plan
	site  Site
	world *World

	start      time.Time
	began      time.Time        // of the candidate: its boot counts from here
	ordered    time.Time        // the same by the cloud's time: its lease counts from here
	unanswered bool             // an order got no answer: it may have been carried out
	droplet    droplets.Droplet // what the IP is to point at
	birth      droplets.Birth
	machine    *droplets.Machine
	status     droplets.MachineStatus
	brought    atomic.Int64               // bytes of images, in this attempt at bringing them
	arrived    bool                       // the images are there
	ports      <-chan error               // what the look at the ports found, see scan
	old        figures                    // of what served before, see watch
	oldMachine *installed                 // of a rebuild; nil where it did not tell
	giver      *giver                     // the live droplet, while its data is moved
	from       droplets.Source            // as the new one reaches it
	started    time.Time                  // when the new one was asked to hold its own
	frozen     time.Time                  // since when its writes are held
	heldUntil  time.Time                  // when the plan gives up, unless the switch is ordered
	committed  time.Time                  // when it was last asked to hold them through the switch
	silent     bool                       // the droplet that a rollback leaves did not give its certificates
	visited    bool                       // its droplet may have had visitors: the switch was ordered
	contested  bool                       // another release came first
	equipped   bool                       // the run's droplet has the engine
	volumes    []VolumeAt                 // of the site, as the run knows them
	moved      map[string]droplets.Volume // those that it has ordered about, by id
	outdone    bool                       // somebody else has a volume that it had ordered about
	holders    map[int]*volumeHolder      // droplets that had them
	spare      bool                       // the droplet that was live is kept: it may have rows or mail that are nowhere else
	ip         string
	records    error // why the names' records may not lead to the address
	probe      *probe.Prober
	guard      *guard   // armed; nil without one
	twins      []Member // other droplets of this attempt: an order that was carried out twice

	undo      []undoStep // in the order of doing
	leftovers []Leftover
	report    Report
	emitMu    sync.Mutex
}

// undoStep takes one thing back. Its error leaves its leftover behind.
type undoStep struct {
	what     string
	run      func(context.Context) error
	leftover Leftover
	// decides tells that what serves depends on it: if it fails, what was done
	// before it is not undone, and the outcome is Broken.
	decides bool
}

// Execute carries the plan out, step by step. A failure up to the confirm, or
// to the end of the watch where there is one, is undone, on a context of its own; the error is then *Refused, or *Broken when
// the undoing failed. *Incomplete means that the release serves and something
// is left over. A nil error means that the release was seen to serve through
// the reserved IP.
func (o *Operator) Execute(ctx context.Context, p *Plan) (*Report, error) {
	r := &run{Operator: o, plan: p, site: p.Site, world: p.World, ip: p.World.Reserved.IP, start: time.Now(),
		volumes: slices.Clone(p.World.Volumes), moved: map[string]droplets.Volume{}, holders: map[int]*volumeHolder{}}
	defer r.close()
	if p.Base != nil {
		r.report.Snapshot = reportOf(*p.Base, p.World.Now)
	}
	err := r.steps(ctx)
	r.onFailure(ctx, err)
	r.report.Verb, r.report.App, r.report.Release = p.Verb, p.Site.App, p.Release
	r.report.Attempt, r.report.Droplet = r.birth.Attempt, r.droplet.ID
	r.report.IP, r.report.Address = r.ip, r.droplet.Address(r.ip)
	r.report.Took = time.Since(r.start)
	if r.probe != nil {
		r.report.Visits = r.probe.Samples()
	}
	return &r.report, err
}

func (r *run) steps(ctx context.Context) error {
	for _, s := range r.plan.Steps {
		err := r.step(ctx, s)
		switch {
		case err == nil:
			if s.commits {
				r.undo = nil
			}
		case s.after:
			// It serves: what is left is done all the same.
			r.leftovers = append(r.leftovers, leftBy(s, err))
		case s.Name == watchStep && r.plan.keepsWritten():
			r.leftovers = append(r.leftovers, r.worseAndStays(ctx, err))
		case s.Name == watchStep:
			if err := r.notGood(ctx, s, err); err != nil {
				return err
			}
		default:
			return r.takeBack(ctx, s, err)
		}
	}
	if len(r.leftovers) > 0 {
		return &Incomplete{r.leftovers}
	}
	return nil
}

// leftBy is what a step that failed after the confirm leaves over.
func leftBy(s Step, err error) Leftover {
	var told *byHand
	if errors.As(err, &told) {
		return Leftover{What: s.Name, Err: err, Command: told.command}
	}
	return Leftover{What: s.Name, Err: err, Command: "cattle status"}
}

func (r *run) step(ctx context.Context, s Step) error {
	start := time.Now()
	r.emit(Event{Kind: KindStep, Step: s.Name, State: StateRunning, Text: s.Title})
	err := context.Cause(ctx)
	if err == nil || s.after {
		within, cancel := r.within(r.onward(ctx, s), s)
		err = s.run(r, within)
		cancel()
	}
	took := time.Since(start)
	r.report.Steps = append(r.report.Steps, StepTime{s.Name, took})
	var skip *skipped
	switch {
	case errors.As(err, &skip):
		r.report.Notices = append(r.report.Notices, skip.why)
		r.emit(Event{Kind: KindStep, Step: s.Name, State: StateSkipped, Text: skip.why, Elapsed: took})
		return nil
	case err != nil:
		r.emit(Event{Kind: KindStep, Step: s.Name, State: StateFailed, Text: err.Error(), Elapsed: took})
		return err
	}
	r.emit(Event{Kind: KindStep, Step: s.Name, State: StateOK, Elapsed: took})
	return nil
}

// onward lets what follows the confirm finish after an interrupt: the release
// serves, and the marks that say so are part of it. A step that an interrupt
// stops is one that came before it.
func (r *run) onward(ctx context.Context, s Step) context.Context {
	if s.after && !(s.stops && ctx.Err() == nil) {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// takeBack undoes what was done, newest first, and says what the outcome is.
func (r *run) takeBack(ctx context.Context, s Step, cause error) error {
	if r.probe != nil {
		r.probe.Stop()
	}
	ctx, cancel := undoContext(ctx)
	defer cancel()
	// What a step after the confirm left over ends with this release.
	r.leftovers = nil
	failed := r.undoAll(ctx)
	refused := &Refused{Step: s.Name, Err: cause}
	refused.Code, refused.Hint = r.kindOf(s, cause)
	var boot *bootError
	if errors.As(cause, &boot) {
		refused.BootStep, refused.Tail = boot.step, boot.tail
	}
	refused.Leftovers = r.leftovers
	if r.plan.bakes() { // nothing that serves was touched
		return &NotBaked{*refused}
	}
	if failed == nil {
		refused.Serving, failed = r.serving(ctx)
	}
	if failed != nil {
		return &Broken{Err: refused, Undo: failed}
	}
	r.recordRefused(ctx, refused)
	return refused
}

// undoAll runs the undo list. Its error is that of a step that decides.
func (r *run) undoAll(ctx context.Context) (failed error) {
	for i := len(r.undo) - 1; i >= 0; i-- {
		u := r.undo[i]
		if failed != nil {
			r.leftovers = append(r.leftovers, u.leftover)
			continue
		}
		if err := r.undoOne(ctx, u); err != nil {
			left := u.leftover
			left.Err = err
			r.leftovers = append(r.leftovers, left)
			if u.decides {
				failed = fmt.Errorf("the undoing failed: %s: %w", u.what, err)
			}
		}
	}
	return failed
}

func (r *run) undoOne(ctx context.Context, u undoStep) error {
	start := time.Now()
	r.emit(Event{Kind: KindStep, Step: "undo", State: StateRunning, Text: u.what})
	err := u.run(ctx)
	if err != nil {
		r.emit(Event{Kind: KindStep, Step: "undo", State: StateFailed, Text: u.what + ": " + err.Error(), Elapsed: time.Since(start)})
		return err
	}
	r.emit(Event{Kind: KindStep, Step: "undo", State: StateOK, Elapsed: time.Since(start)})
	return nil
}

// serving is the release that the reserved IP leads to after all: the plan's
// may be hours old, and somebody else may have switched or destroyed since.
func (r *run) serving(ctx context.Context) (string, error) {
	was := r.world.Reserved.DropletID
	if r.ip == "" {
		// There was no address; somebody else's first release may have made one.
		w, err := r.survey(ctx, r.site)
		if err != nil {
			return "", fmt.Errorf("whether another release serves could not be read: %w", err)
		}
		return w.Serving(), nil
	}
	ip, err := r.Cloud.ReservedIP(ctx, r.ip)
	if err != nil {
		return "", fmt.Errorf("where %s points could not be read: %w", r.ip, err)
	}
	if ip.DropletID == 0 && was == 0 {
		return "", nil
	}
	if s := ip.Droplet.Status; s != "active" && s != "" {
		return "", fmt.Errorf("droplet %d, at which %s is, is %s: power it on with doctl compute droplet-action power-on %[1]d, or roll back", ip.DropletID, r.ip, s)
	}
	if ip.DropletID == was {
		return r.world.Serving(), nil
	}
	birth, born := ip.Droplet.Birth()
	if !born || ip.Droplet.App() != r.site.App || ip.DropletID == r.droplet.ID {
		return "", &moved{r.ip, was, ip.DropletID}
	}
	if !ip.Droplet.Has(droplets.ServedTag) {
		// Somebody else has switched, and has not confirmed yet.
		if _, err := r.ask(ctx, r.site, r.ip, birth.Attempt); err != nil {
			return "", fmt.Errorf("%s holds %s and does not serve (%w); whether it stays, its own release decides", birth.Release, r.ip, err)
		}
	}
	return birth.Release, nil
}

// gone tells that the API did not take what an order names.
func gone(err error) bool { return droplets.NotFound(err) || droplets.Busy(err) }

// kindOf is the section of docs/errors.md that a refusal has, and what to type
// after it; "" where its error says it all.
func (r *run) kindOf(s Step, err error) (code, hint string) {
	var elsewhere *moved
	var onward *movedOn
	var first *rival
	var known *Known
	var lost *carriedOff
	if code, hint, ok := dataKind(err); ok {
		return code, hint
	}
	switch {
	case errors.As(err, &elsewhere), errors.As(err, &onward):
		return "ip-moved", "cattle status shows what is live now"
	case errors.As(err, &known) && known.Code == tooLong:
		return known.Code, known.Hint
	case errors.As(err, &lost):
		return "volume-elsewhere", "cattle status shows where it is"
	case errors.As(err, &first):
		return "release-under-way", "wait until it is done; if its operator is gone for good: cattle gc --attempt " + first.m.Birth.Attempt
	case s.Name == "create" && r.plan.Base != nil && gone(err):
		return "snapshot-gone", "the snapshot was deleted meanwhile, or cannot be used any more: release again, or do without with --no-snapshot"
	case s.Name == BeforeSwitch:
		return "hook-refused", "hooks.before_switch of the profile has refused it; what it said is above"
	case s.Name == "guard":
		return "guard", "the live droplet holds the guard; without one: release.guard: false, or --no-handoff where that droplet cannot be reached any more"
	case s.Name == "handoff":
		return "handoff", "if the live droplet cannot be reached any more: add --no-handoff, and new certificates are asked for"
	case s.Name == watchStep:
		return "got-worse", ""
	case errors.As(err, &known):
		return known.Code, known.Hint
	case s.Name == "confirm":
		return "not-confirmed", ""
	}
	return "", ""
}

func (r *run) emit(e Event) {
	if r.Emit == nil {
		return
	}
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	e.Time = time.Now()
	r.Emit(e)
}

// notice tells the operator something that is no failure, now and in the report.
func (r *run) notice(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.report.Notices = append(r.report.Notices, text)
	r.emit(Event{Kind: KindNotice, Text: text})
}

func (r *run) close() {
	if r.probe != nil {
		r.probe.Stop()
	}
	if r.machine != nil {
		r.machine.Close()
	}
	if r.giver != nil && r.giver.machine != nil {
		r.giver.machine.Close()
	}
}
