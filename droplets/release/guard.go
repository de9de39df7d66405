package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"cattle/droplets"
)

// The guard is a dead-man switch on the live droplet, for a release whose
// operator is never heard of again after the switch. It is armed before the
// switch and disarmed as the last act of the confirm: what that answers decides
// between the two of them. A guard that went off has the reserved IP, and the
// release is refused, whatever the operator saw until then.

const (
	// disarmWithin bounds the login and the verb that call the guard off.
	disarmWithin = time.Minute
	// guardFor is the time from arming to going off. An operator who lives is
	// done by then: for the first switchWithin an assign may be ordered, it
	// arrives within another, is confirmed, and the guard disarmed.
	guardFor = 2*switchWithin + confirmWithin + disarmWithin
	// It lasts longer by the time in which writes may be held: see guardTime.

	// guardPersists is how long a guard that went off may still order a move:
	// the droplet tries for three minutes, and a request may be under way.
	guardPersists = 4 * time.Minute
)

// guardTime is guardFor of a site. With data the switch is ordered later: what
// was written last is fetched in between.
func guardTime(site Site) time.Duration {
	if site.State {
		return guardFor + site.MaxFreeze
	}
	return guardFor
}

// guard is one that was armed, or may have been.
type guard struct {
	on Member
	// fires is the earliest moment at which it goes off, by the cloud's time.
	fires time.Time
}

// over is when it can do nothing any more.
func (g *guard) over() time.Time { return g.fires.Add(guardPersists) }

// allows tells whether an assign that is ordered now can be confirmed before
// the guard goes off.
func (g *guard) allows(now time.Time) bool {
	return g.fires.Sub(now) >= guardFor-switchWithin
}

var errGuardLate = errors.New("the switch took too long: the guard would go off before it is confirmed")

// TryGuard asks the API whether a token may move the site's reserved IP: cloud
// was opened with it. It orders a move to droplet 0, which there never is. The
// error is *Preflight where the API refuses the token, and nil where it does
// not tell.
func TryGuard(ctx context.Context, cloud droplets.Cloud, w *World) error {
	if w.Live == nil || !w.Live.Born {
		return nil
	}
	var why string
	switch droplets.StatusOf(cloud.Assign(ctx, w.Reserved.IP, 0)) {
	case http.StatusUnauthorized:
		why = "the API does not take the guard's token"
	case http.StatusForbidden:
		why = "the guard's token lacks the scope reserved_ip:update"
	default:
		return nil
	}
	return &Preflight{Faults: []Fault{{Code: "guard-token", Input: true, Msg: why, Hint: "make one with this scope alone at https://cloud.digitalocean.com/account/api/tokens and export CATTLE_GUARD_TOKEN=…"}}}
}

// guards tells whether the plan's switch is guarded: it is a release, there is a
// live droplet to go back to, and that one is expected to answer.
func (p *Plan) guards() bool {
	live := p.World.Live
	return p.Site.Guard && p.candidate != nil && !p.candidate.NoHandoff && live != nil && live.Born
}

func (p *Plan) guardTitle() string {
	w := p.World
	return fmt.Sprintf("arm %s: it takes %s back by itself, unless this is confirmed within %s", w.Live.Name, w.Reserved.IP, brief(guardTime(p.Site)))
}

// arm arms the live droplet. One that was released without a guard cannot be
// armed: nothing was promised of it, and the next release has one.
func (r *run) arm(ctx context.Context) error {
	live := r.world.Live
	r.guard = &guard{on: *live, fires: r.Cloud.Now().Add(guardTime(r.site))}
	r.pushUndo(undoStep{what: "disarm " + live.Name, run: r.callOff,
		leftover: Leftover{What: fmt.Sprintf("%s may keep the guard's token in memory until %s", live.Name, clock(r.guard.over())), Command: "cattle status"}})
	err := r.onGuard(ctx, reachWithin, func(ctx context.Context, m *droplets.Machine) error {
		return m.Guard(ctx, droplets.Guard{Token: r.GuardToken, IP: r.ip, Droplet: live.ID, Attempt: r.birth.Attempt, For: guardTime(r.site)})
	})
	if droplets.UnknownVerb(err) {
		r.guard = nil
		return &skipped{fmt.Sprintf("%s was released without release.guard, so this switch is not guarded; the next one is", live.Name)}
	}
	return err
}

// onGuard does something on the droplet of the guard.
func (r *run) onGuard(ctx context.Context, within time.Duration, do func(context.Context, *droplets.Machine) error) error {
	on := r.guard.on
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s did not answer within %s", on.Name, brief(within)))
	defer cancel()
	// The login's own bound comes first: it has the reason.
	m, err := r.connect(ctx, on.Droplet, on.Birth.HostKey, within-time.Second)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(ctx, m)
}

// tryDisarm asks until the droplet answers: doing it twice is fine, and an
// answer that is lost would cost minutes of waiting. It counts how often.
func (r *run) tryDisarm(ctx context.Context) (state droplets.GuardState, tries int, err error) {
	what := fmt.Sprintf("%s to say that its guard is disarmed", r.guard.on.Name)
	err = droplets.Wait(ctx, what, disarmWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		tries++
		err := r.onGuard(ctx, reachWithin, func(ctx context.Context, m *droplets.Machine) (err error) {
			state, err = m.Disarm(ctx, r.birth.Attempt)
			return err
		})
		return err == nil, err
	})
	return state, tries, err
}

// callOff undoes arm. A guard that went off wants what the undo wants.
func (r *run) callOff(ctx context.Context) error {
	if r.guard == nil {
		return nil
	}
	_, _, err := r.tryDisarm(ctx)
	return err
}

// disarm ends the confirm: once the guard is known not to go off any more, and
// not to have gone off, the release stays.
func (r *run) disarm(ctx context.Context) error {
	if r.guard == nil {
		return nil
	}
	state, tries, err := r.tryDisarm(ctx)
	switch {
	case err == nil && state == droplets.GuardDisarmed && tries == 1:
		return nil
	case err == nil && state == droplets.GuardDisarmed:
		// That took its time: what the public got before it says little.
	case err == nil && state == droplets.GuardFired:
		return fmt.Errorf("the guard of %s went off before the release was confirmed", r.guard.on.Name)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && !r.outwait(ctx, err):
		return nil
	}
	return r.stayed(ctx)
}

// outwait waits until a guard that cannot be reached can do nothing any more.
// An interrupt ends the wait: to switch back to a droplet that does not answer
// would be the worst of ends, so the release stays, and what may happen to it
// is left over.
func (r *run) outwait(ctx context.Context, why error) bool {
	g := r.guard
	r.notice("%s cannot be disarmed (%v); waiting until %s, when its guard is over", g.on.Name, why, clock(g.over()))
	for r.Cloud.Now().Before(g.over()) {
		if pause(ctx, pendingPause) == nil {
			continue
		}
		r.leftovers = append(r.leftovers, Leftover{Err: why, Command: "cattle status",
			What: fmt.Sprintf("the guard of %s is armed, and may take %s back until %s", g.on.Name, r.ip, clock(g.over()))})
		return false
	}
	return true
}

// stayed finds that the reserved IP is still at the run's droplet, and that
// this attempt answers there.
func (r *run) stayed(ctx context.Context) error {
	ip, err := r.settled(ctx)
	if err != nil {
		return err
	}
	if ip.DropletID != r.droplet.ID {
		return &moved{r.ip, r.droplet.ID, ip.DropletID}
	}
	return serves(ctx, r.door(r.ip, r.status.Certificate != nil), r.birth.Attempt, r.site.Health)
}

// GuardFaults refuse to begin while it is open which droplet is to be left: a
// guard may take the reserved IP back until the live attempt's lease is over.
func (w *World) GuardFaults(site Site) []Fault {
	m, _ := w.Undecided(site)
	if !site.Guard || m == nil || !m.Birth.Lease.After(w.Now) {
		return nil
	}
	return []Fault{{
		Code: "not-confirmed-yet",
		Msg: fmt.Sprintf("release %s was switched to and is not confirmed: it is under way, or its operator is gone and the guard takes %s back; that is settled by %s",
			m.Birth.Release, w.Reserved.IP, clock(m.Birth.Lease)),
		Hint: "try again then; cattle rollback goes back at once"}}
}

func clock(t time.Time) string { return t.UTC().Format(time.TimeOnly + " MST") }
