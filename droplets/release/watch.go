package release

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// The watch (release.bake in the profile) lies between the confirm and the
// commit: the public has the new release already, and the undo list is kept.
// It looks at the site as visitors do, and at what the droplet says of its
// visitors and containers, and compares that with the droplet that served
// before; worse.go has the rules. It makes no request to
// the API, but where another attempt answers.

const (
	watchStep = "watch"
	// sampleEvery is how often the droplet is asked for its figures.
	sampleEvery = 10 * time.Second
	// sampleWithin bounds one such question: a droplet under load answers in
	// some seconds.
	sampleWithin = 20 * time.Second
	// tellEvery is how often the operator is told how it goes.
	tellEvery = time.Minute
	// oldWithin is how long the droplet to go back to may take to pass its check.
	oldWithin = 15 * time.Second
)

// WatchReport is what a watch saw: requests of visitors, and how many of them
// were answered with 500 or more, in its last ten minutes at most.
type WatchReport struct {
	Took     time.Duration `json:"took_ns"`
	Requests int           `json:"requests"`
	Errors   int           `json:"errors"`
	// What served before, in the ten minutes before the switch; nil where it did
	// not tell.
	Before *Served `json:"before,omitempty"`
}

// Served counts answers to visitors.
type Served struct {
	Requests int `json:"requests"`
	Errors   int `json:"errors"`
}

// watches tells whether the plan has a watch: a first release has nothing to go
// back to, and a rollback is there to be fast.
func (p *Plan) watches() bool {
	return p.Site.Watch > 0 && p.target == nil && p.World.Live != nil && p.World.Live.Born
}

// keepsWritten tells that a watch takes nothing back: the new droplet has rows
// that the old one has not.
func (p *Plan) keepsWritten() bool { return p.opens() || p.begins() }

func (p *Plan) watchTitle() string {
	if p.keepsWritten() {
		return fmt.Sprintf("for %s: health, error rate and restarts against %s; what was written stays, so nothing goes back by itself", brief(p.Site.Watch), p.World.Serving())
	}
	return fmt.Sprintf("for %s: health, error rate and restarts against %s; or the IP goes back", brief(p.Site.Watch), p.World.Serving())
}

// readOld asks the droplet that serves for its figures, to compare with. It may
// be one that cannot tell: then only what is wrong in itself counts.
func (r *run) readOld(ctx context.Context, m *droplets.Machine) {
	ctx, cancel := context.WithTimeout(ctx, sampleWithin)
	defer cancel()
	t, err := m.Traffic(ctx)
	switch {
	case err == nil:
		r.old = figuresOf(t)
		r.report.Watch = &WatchReport{Before: &Served{t.Requests, t.Errors}}
	case droplets.UnknownVerb(err):
		r.notice("%s was released without release.bake and cannot tell its error rate: the watch has nothing to compare with", r.world.Live.Name)
	default:
		r.notice("%s does not tell its error rate (%v): the watch has nothing to compare with", r.world.Live.Name, err)
	}
}

// watch looks at the live site for as long as the profile says. It ends with
// the first thing that is worse than it was before.
func (r *run) watch(ctx context.Context) error {
	if r.report.Watch == nil {
		r.report.Watch = &WatchReport{}
	}
	start := time.Now()
	w := &watcher{run: r, ends: start.Add(r.site.Watch)}
	bounded, cancel := context.WithDeadline(ctx, w.ends)
	defer cancel()
	g, bounded := errgroup.WithContext(bounded)
	g.Go(func() error { return w.every(bounded, r.site.Health.Interval, w.visit) })
	g.Go(func() error { return w.every(bounded, sampleEvery, w.sample) })
	err := g.Wait()
	// It ends with a good look: what failed a moment ago is looked at again.
	for err == nil && ctx.Err() == nil && w.now.misses > 0 {
		if err = pause(ctx, r.site.Health.Interval); err == nil {
			err = w.visit(ctx)
		}
	}
	r.report.Watch.Took = time.Since(start)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// A watcher holds what is known of the live site; two looks fill it.
type watcher struct {
	*run
	ends  time.Time
	first *figures // of the new droplet, when the watch began
	told  time.Time
	mute  int // samples in a row that could not be had

	mu  sync.Mutex
	now figures
}

// every looks until the time is over or a look finds that it is worse.
func (w *watcher) every(ctx context.Context, pause time.Duration, look func(context.Context) error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		if err := look(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// visit makes the health check through the reserved IP, and finds that this
// release answers it.
func (w *watcher) visit(ctx context.Context) error {
	_, err := w.ask(ctx, w.site, w.ip, w.birth.Attempt)
	if ctx.Err() != nil {
		return nil
	}
	var other *otherAnswers
	if errors.As(err, &other) {
		if on := w.elsewhere(ctx); on != nil {
			return on
		}
	}
	return w.judge(func(now *figures) {
		now.missed = err
		if now.misses++; err == nil {
			now.misses = 0
		}
	})
}

// elsewhere finds whether the reserved IP is at another droplet, where another
// attempt answers: that says nothing of this release's health. Who moved it on
// may have taken that back meanwhile, and then the watch goes on.
func (w *watcher) elsewhere(ctx context.Context) error {
	ip, err := w.settled(ctx)
	if err != nil || ip.DropletID == w.droplet.ID {
		return nil
	}
	return &movedOn{w.ip, ip.DropletID}
}

// sample asks the droplet for its figures. That they cannot be had is no reason
// to go back: visitors are asked for in any case.
func (w *watcher) sample(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, sampleWithin)
	t, err := w.machine.Traffic(bounded)
	cancel()
	err = w.reconnect(ctx, err)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		// The first one may be a connection that broke, and is made anew by now.
		if w.mute++; w.mute == 2 {
			w.notice("the droplet does not tell its error rate and restarts (%v)", err)
		}
		return nil
	}
	w.mute = 0
	seen := figuresOf(t)
	if w.first == nil {
		w.first = &seen
	}
	w.report.Watch.Requests, w.report.Watch.Errors = t.Requests, t.Errors
	err = w.judge(func(now *figures) { now.add(seen, *w.first) })
	if err == nil {
		w.tell(t)
	}
	return err
}

func (w *watcher) judge(change func(*figures)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.now)
	return worse(w.old, w.now)
}

// tell says once a minute how it goes.
func (w *watcher) tell(t droplets.Traffic) {
	if time.Since(w.told) < tellEvery {
		return
	}
	w.told = time.Now()
	text := fmt.Sprintf("%s left; %d requests, %d failed", brief(time.Until(w.ends).Round(time.Second)), t.Requests, t.Errors)
	if b := w.report.Watch.Before; b != nil {
		text += fmt.Sprintf("; before: %d, %d failed", b.Requests, b.Errors)
	}
	w.emit(Event{Kind: KindWatch, Step: watchStep, State: StateRunning, Text: text})
}

// movedOn means that somebody switched from this release while it was watched.
type movedOn struct {
	ip string
	to int
}

func (e *movedOn) Error() string {
	if e.to == 0 {
		return fmt.Sprintf("%s points at nothing any more: somebody unassigned it", e.ip)
	}
	return fmt.Sprintf("somebody moved %s on to droplet %d", e.ip, e.to)
}

// notGood ends a watch that failed or was interrupted. The IP goes back, unless
// somebody else moved it on meanwhile, or what it would go back to is not sound
// any more: then this release stays, nil is returned, and it is said so.
func (r *run) notGood(ctx context.Context, s Step, cause error) error {
	looking, cancel := undoContext(ctx)
	defer cancel()
	var on *movedOn
	if errors.As(cause, &on) {
		return r.handOver(ctx, s, on)
	}
	if ip, err := r.settled(looking); err == nil && ip.DropletID != r.droplet.ID {
		return r.handOver(ctx, s, &movedOn{r.ip, ip.DropletID})
	}
	gone := r.oldSound(looking)
	if gone == nil {
		return r.takeBack(ctx, s, cause)
	}
	was := r.world.Live
	gone = fmt.Errorf("%s, which it would go back to, is not sound any more: %w", was.Name, gone)
	if _, err := r.ask(looking, r.site, r.ip, r.birth.Attempt); err != nil {
		return &Broken{Err: &Refused{Step: s.Name, Err: cause}, Undo: fmt.Errorf("the IP stays: %w", gone)}
	}
	r.undo = nil
	r.leftovers = append(r.leftovers, Leftover{What: "the watch of " + r.birth.Release, Err: fmt.Errorf("%w; it stays live: %w", cause, gone), Command: "cattle status"})
	return nil
}

// worseAndStays is what a watch that ends badly leaves over where nothing goes
// back by itself: a person decides what becomes of the rows.
func (r *run) worseAndStays(ctx context.Context, cause error) Leftover {
	if ctx.Err() != nil {
		cause = context.Cause(ctx)
	}
	return Leftover{What: "the watch of " + r.birth.Release, Err: cause, Command: "cattle rollback --carry-data"}
}

// handOver leaves this release's droplet to whoever moved the reserved IP on:
// it is what he goes back to when his release fails, or keeps, or destroys.
func (r *run) handOver(ctx context.Context, s Step, cause error) error {
	r.undo = nil
	err := r.takeBack(ctx, s, cause)
	var refused *Refused
	if errors.As(err, &refused) {
		refused.Leftovers = append(refused.Leftovers, Leftover{
			What:    fmt.Sprintf("droplet %d of %s, if who moved the IP does not keep it or end it", r.droplet.ID, r.birth.Release),
			Command: "cattle gc --attempt " + r.birth.Attempt,
		})
	}
	return err
}

// oldSound makes the health check of what served before, on its own address.
// If that fails there too, the release is hardly to blame, and to go back helps
// nobody.
func (r *run) oldSound(ctx context.Context) error {
	was := r.world.Live
	what := fmt.Sprintf("droplet %d to pass the health check", was.ID)
	return droplets.Wait(ctx, what, oldWithin, droplets.Every(closely), func(ctx context.Context) (bool, error) {
		_, err := r.ask(ctx, r.site, was.Address(r.ip), was.Birth.Attempt)
		return err == nil, err
	})
}
