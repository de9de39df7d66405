package simulation

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"

	"cattle/droplets/release"
)

// A Verb is what an operator does: survey, plan, execute, as the command does.
type Verb func(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error)

// Releases is the verb release.
func Releases(version string) Verb {
	return func(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
		return b.ReleaseBy(ctx, o, version)
	}
}

// RollsBack is the verb rollback.
func RollsBack(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	return b.RollbackBy(ctx, o, "")
}

// Rebuilds is the verb rebuild: what is live, on a fresh droplet.
func Rebuilds(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	w, err := o.SurveyRelease(ctx, b.Site)
	if err != nil {
		return nil, err
	}
	if w.Live == nil || !w.Live.Born {
		return nil, &release.Preflight{Faults: []release.Fault{{Msg: "there is no live droplet to rebuild", Hint: "cattle release VERSION"}}}
	}
	if faults := w.GuardFaults(b.Site); len(faults) > 0 {
		return nil, &release.Preflight{Faults: faults}
	}
	if fault := w.PinFault(); fault != nil {
		return nil, &release.Preflight{Faults: []release.Fault{*fault}}
	}
	if _, err := o.Pins(ctx, w); err != nil {
		return nil, err
	}
	p, err := release.PlanRelease("rebuild", b.Site, w, b.Candidate(w.Serving()))
	if err != nil {
		return nil, err
	}
	return b.carryOut(ctx, o, p)
}

// Collects is the verb gc.
func Collects(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	return nil, b.GCBy(ctx, o, release.GCOptions{})
}

// Bakes is the verb bake.
func Bakes(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	_, err := b.BakeBy(ctx, o, "v2")
	return nil, err
}

// Destroys is the verb destroy, with the reserved IP.
func Destroys(b *Bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	w, err := o.SurveyAround(ctx, b.Site)
	if err != nil {
		return nil, err
	}
	return nil, o.Destroy(ctx, b.Site, release.PlanDestroy(b.Site, w, true))
}

// Release releases a version with the bench's own operator.
func (b *Bench) Release(ctx context.Context, version string) (*release.Report, error) {
	return b.ReleaseBy(ctx, b.Op, version)
}

// ReleaseBy is Release by another operator.
func (b *Bench) ReleaseBy(ctx context.Context, o *release.Operator, version string) (*release.Report, error) {
	b.T.Helper()
	return b.Execute(ctx, o, b.Candidate(version))
}

// Execute surveys, plans and releases a candidate.
func (b *Bench) Execute(ctx context.Context, o *release.Operator, c *release.Candidate) (*release.Report, error) {
	w, err := o.SurveyRelease(ctx, b.Site)
	if err != nil {
		return nil, err
	}
	p, err := release.PlanRelease("release", b.Site, w, c)
	if err != nil {
		return nil, err
	}
	return b.carryOut(ctx, o, p)
}

// carryOut executes a plan; the checker compares it with what is done.
func (b *Bench) carryOut(ctx context.Context, o *release.Operator, p *release.Plan) (*release.Report, error) {
	if r := b.runOf(o); r != nil {
		r.plan = p
	}
	return o.Execute(ctx, p)
}

// Rollback goes back to a version, "" for the newest standby.
func (b *Bench) Rollback(ctx context.Context, version string) (*release.Report, error) {
	return b.RollbackBy(ctx, b.Op, version)
}

// RollbackBy is Rollback by another operator.
func (b *Bench) RollbackBy(ctx context.Context, o *release.Operator, version string) (*release.Report, error) {
	return b.rollback(ctx, o, version, release.Carry)
}

// rollback is the verb, with what it is told to do with data, where there is any.
func (b *Bench) rollback(ctx context.Context, o *release.Operator, version string, choice release.DataChoice) (*release.Report, error) {
	w, err := o.SurveyAround(ctx, b.Site)
	if err != nil {
		return nil, err
	}
	p, err := release.PlanRollback(b.Site, w, version, b.dataFor(ctx, o, w, choice))
	if err != nil {
		return nil, err
	}
	return b.carryOut(ctx, o, p)
}

// BakeBy bakes a version.
func (b *Bench) BakeBy(ctx context.Context, o *release.Operator, version string) (*release.Report, error) {
	b.T.Helper()
	w, err := o.SurveyRelease(ctx, b.Site)
	if err != nil {
		return nil, err
	}
	p, err := release.PlanBake(b.Site, w, b.Render(version, true))
	if err != nil {
		return nil, err
	}
	return b.carryOut(ctx, o, p)
}

// GCBy does what the command gc does.
func (b *Bench) GCBy(ctx context.Context, o *release.Operator, opts release.GCOptions) error {
	w, err := o.Survey(ctx, b.Site)
	if err != nil {
		return err
	}
	g := release.PlanGC(b.Site, w, opts)
	if g.Unmarked != nil {
		if _, err := o.Adopt(ctx, g); err != nil {
			return err
		}
	}
	_, err = o.Return(ctx, g)
	return errors.Join(err, o.Collect(ctx, g))
}

// Must releases and ends the test when that fails.
func (b *Bench) Must(version string) *release.Report {
	b.T.Helper()
	r, err := b.Release(b.T.Context(), version)
	if err != nil {
		b.T.Fatalf("release %s: %v\n%s", version, err, b.History())
	}
	return r
}

// MustBake bakes and ends the test when that fails.
func (b *Bench) MustBake(version string) *release.Report {
	b.T.Helper()
	r, err := b.BakeBy(b.T.Context(), b.Op, version)
	if err != nil {
		b.T.Fatalf("bake %s: %v\n%s", version, err, b.History())
	}
	return r
}

// LeaseOver is longer than any candidate's lease.
const LeaseOver = 70 * time.Minute

// Converge is converge for a test that has no schedule.
func (b *Bench) Converge(by string, served bool) {
	b.T.Helper()
	b.converge(by, served)
	b.Report()
}

// converge has the calm operator put things in order by one verb, and with gc
// once leases are over.
func (b *Bench) converge(by string, served bool) {
	ctx := b.T.Context()
	if err := b.convergeBy(ctx, by); err != nil {
		b.violate(converges, "%s afterwards: %v", by, err)
	}
	b.opensAgain()
	b.idle(LeaseOver)
	err := b.GCBy(ctx, b.Op, release.GCOptions{})
	if b.Holder() != nil && b.Serving() == "" && err == nil {
		// It died after the switch to a release that does not serve: gc has left
		// what a rollback needs, where there was something.
		if _, err = b.Rollback(ctx, ""); err != nil && !served {
			_, err = b.Release(ctx, "v8")
		}
		if err == nil {
			b.opensAgain()
			b.idle(LeaseOver)
			err = b.GCBy(ctx, b.Op, release.GCOptions{})
		}
	}
	if err != nil {
		b.violate(converges, "gc afterwards: %v", err)
	}
	time.Sleep(time.Minute)
	b.tidy()
	b.opensAgain()
	if served && b.Holder() == nil {
		b.violate(converges, "nothing is live")
	}
}

var attemptRE = regexp.MustCompile(`--attempt ([0-9a-f]{16})`)

func (b *Bench) convergeBy(ctx context.Context, by string) error {
	var faults *release.Preflight
	switch by {
	case "release":
		_, err := b.Release(ctx, "v9")
		if errors.As(err, &faults) {
			// A candidate is in the way, and the hint says how to end it.
			m := attemptRE.FindStringSubmatch(faults.Faults[0].Hint)
			if m == nil && strings.Contains(err.Error(), "is settled by") {
				// A guard may be about to go off: it says until when.
				b.idle(LeaseOver)
				_, err = b.Release(ctx, "v9")
				return err
			}
			if m == nil {
				return err
			}
			// Its operator's last order may still be under way.
			time.Sleep(20 * time.Second)
			if err := b.GCBy(ctx, b.Op, release.GCOptions{Attempt: m[1]}); err != nil {
				return err
			}
			time.Sleep(20 * time.Second)
			_, err = b.Release(ctx, "v9")
		}
		return err
	case "rollback":
		_, err := b.Rollback(ctx, "")
		var refused *release.Refused
		if errors.As(err, &faults) || errors.As(err, &refused) && refused.Step == "reach" {
			// There is no standby, or what was one is being destroyed.
			return nil
		}
		return err
	}
	return nil
}
