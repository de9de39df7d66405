package release_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// The checker: what has to hold in every schedule, while it runs and after it.

// A watch looks at the cloud every few seconds for as long as a schedule runs:
// a reserved IP that once pointed at a sound droplet always points at one.
type watch struct {
	b    *bench
	stop chan struct{}
	done chan struct{}
	held map[string]bool
}

func (b *bench) watch() *watch {
	w := &watch{b: b, stop: make(chan struct{}), done: make(chan struct{}), held: map[string]bool{}}
	go func() {
		defer close(w.done)
		for {
			w.look()
			select {
			case <-time.After(10 * time.Second):
			case <-w.stop:
				return
			}
		}
	}()
	return w
}

func (w *watch) look() {
	s := w.b.cloud.Snapshot()
	for _, ip := range s.ReservedIPs {
		i := slices.IndexFunc(s.Droplets, func(d sandbox.Machine) bool { return d.ID == ip.Droplet })
		sound := i >= 0 && s.Droplets[i].Status == "active" && s.Droplets[i].Boot == "ok"
		if w.held[ip.IP] && !sound {
			w.b.t.Errorf("%s: the reserved IP pointed at a sound droplet, and points at %d now", s.At.Format(time.TimeOnly), ip.Droplet)
			delete(w.held, ip.IP)
		}
		if sound {
			w.held[ip.IP] = true
		}
	}
}

func (w *watch) end() {
	close(w.stop)
	<-w.done
}

// holder is the droplet that the site's reserved IP points at.
func holder(s sandbox.Snapshot) *sandbox.Machine {
	for _, ip := range s.ReservedIPs {
		for i, d := range s.Droplets {
			if d.ID == ip.Droplet {
				return &s.Droplets[i]
			}
		}
	}
	return nil
}

// tidy holds when nothing runs but the live droplet and the standbys that the
// profile keeps, and no reserved IP bills while it points at nothing.
func (b *bench) tidy() {
	b.t.Helper()
	s := b.cloud.Snapshot()
	live := holder(s)
	standbys := 0
	for _, d := range s.Droplets {
		switch {
		case live != nil && d.ID == live.ID:
		case live != nil && slices.Contains(d.Tags, droplets.ServedTag):
			standbys++
		default:
			b.t.Errorf("droplet %d (%s, attempt %s) is left over", d.ID, d.Release, d.Attempt)
		}
	}
	if standbys > b.site.Keep {
		b.t.Errorf("%d standbys are left, the profile keeps %d", standbys, b.site.Keep)
	}
	for _, ip := range s.ReservedIPs {
		if ip.Droplet == 0 {
			b.t.Errorf("the reserved IP %s is left over", ip.IP)
		}
	}
	for _, s := range b.snapshots() {
		if _, _, ok := s.Baked(); !ok || !s.Has(droplets.AppTag(b.site.App)) {
			b.t.Errorf("the half-made snapshot %d %s is left over: %v", s.ID, s.Name, s.Tags)
		}
	}
	if live != nil && b.serving() != live.Release {
		b.t.Errorf("%s is live, %q serves", live.Release, b.serving())
	}
}

// named is everything that an outcome tells its operator to end.
func named(err error) string {
	var parts []string
	list := func(ls []release.Leftover) {
		for _, l := range ls {
			parts = append(parts, l.String(), l.Command)
		}
	}
	var refused *release.Refused
	if errors.As(err, &refused) {
		list(refused.Leftovers)
	}
	var incomplete *release.Incomplete
	if errors.As(err, &incomplete) {
		list(incomplete.Leftovers)
	}
	var notBaked *release.NotBaked
	if errors.As(err, &notBaked) {
		list(notBaked.Why.Leftovers)
	}
	return strings.Join(parts, "\n")
}

// accounted holds when each droplet that runs is live, a standby, was there
// before, or is named.
func (b *bench) accounted(before sandbox.Snapshot, err error) {
	b.t.Helper()
	s, told := b.cloud.Snapshot(), named(err)
	live := holder(s)
	for _, d := range s.Droplets {
		there := slices.ContainsFunc(before.Droplets, func(o sandbox.Machine) bool { return o.ID == d.ID })
		isLive := live != nil && live.ID == d.ID
		isNamed := strings.Contains(told, d.Attempt) || strings.Contains(told, fmt.Sprintf("droplet %d", d.ID))
		if !there && !isLive && !isNamed {
			b.t.Errorf("droplet %d (%s, attempt %s) runs and nobody is told:\n%v\n%s", d.ID, d.Release, d.Attempt, err, told)
		}
	}
}

// truthful compares an outcome with what is.
func (b *bench) truthful(before sandbox.Snapshot, r *release.Report, err error) {
	b.t.Helper()
	was, is := holder(before), holder(b.cloud.Snapshot())
	var refused *release.Refused
	var incomplete *release.Incomplete
	var broken *release.Broken
	switch {
	case errors.As(err, &broken):
		// It says that nobody knows.
	case err == nil || errors.As(err, &incomplete):
		if r != nil && (is == nil || is.ID != r.Droplet || b.serving() != r.Release) {
			b.t.Errorf("%v, but %+v is live and %q serves", err, is, b.serving())
		}
	case errors.As(err, &refused):
		if got := b.serving(); got != refused.Serving {
			b.t.Errorf("refused, and said that %q serves; %q does: %v", refused.Serving, got, err)
		}
		fallthrough
	default:
		if (was == nil) != (is == nil) || was != nil && was.ID != is.ID {
			b.t.Errorf("%v, but the live droplet changed: %+v", err, is)
		}
	}
}

// gcBy does what the command gc does.
func (b *bench) gcBy(ctx context.Context, o *release.Operator, opts release.GCOptions) error {
	w, err := o.Survey(ctx, b.site)
	if err != nil {
		return err
	}
	g := release.PlanGC(b.site, w, opts)
	if g.Unmarked != nil {
		if _, err := o.Adopt(ctx, g); err != nil {
			return err
		}
	}
	return o.Collect(ctx, g)
}

// converge has another operator clean up: with gc once leases are over, with a
// release at once, or with a rollback.
func (b *bench) converge(by string, served bool) {
	b.t.Helper()
	ctx := b.t.Context()
	if err := b.convergeBy(ctx, by); err != nil {
		b.t.Errorf("%s afterwards: %v\n%s", by, err, b.history())
	}
	time.Sleep(leaseOver)
	err := b.gcBy(ctx, b.op, release.GCOptions{})
	if live := holder(b.cloud.Snapshot()); err == nil && live != nil && b.serving() == "" {
		// It died after the switch to a release that does not serve: gc has left
		// what a rollback needs, where there was something.
		if _, err = b.rollback(ctx, ""); err != nil && !served {
			_, err = b.release(ctx, "v8")
		}
		if err == nil {
			time.Sleep(leaseOver)
			err = b.gcBy(ctx, b.op, release.GCOptions{})
		}
	}
	if err != nil {
		b.t.Errorf("gc afterwards: %v", err)
	}
	time.Sleep(time.Minute)
	b.tidy()
	if served && holder(b.cloud.Snapshot()) == nil {
		b.t.Error("nothing is live")
	}
}

var attemptRE = regexp.MustCompile(`--attempt ([0-9a-f]{16})`)

func (b *bench) convergeBy(ctx context.Context, by string) error {
	var faults *release.Preflight
	switch by {
	case "release":
		_, err := b.release(ctx, "v9")
		if errors.As(err, &faults) {
			// A candidate is in the way, and the hint says how to end it.
			m := attemptRE.FindStringSubmatch(faults.Faults[0].Hint)
			if m == nil {
				return err
			}
			// Its operator's last order may still be under way.
			time.Sleep(20 * time.Second)
			if err := b.gcBy(ctx, b.op, release.GCOptions{Attempt: m[1]}); err != nil {
				return err
			}
			time.Sleep(20 * time.Second)
			_, err = b.release(ctx, "v9")
		}
		return err
	case "rollback":
		_, err := b.rollback(ctx, "")
		var refused *release.Refused
		if errors.As(err, &faults) || errors.As(err, &refused) && refused.Step == "reach" {
			// There is no standby, or what was one is being destroyed.
			return nil
		}
		return err
	}
	return nil
}
