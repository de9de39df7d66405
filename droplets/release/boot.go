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

const (
	// dialPause is how often a droplet that does not answer yet is tried.
	dialPause = 500 * time.Millisecond
	// impostorAfter is how long a wrong host key or a refused login is borne:
	// sshd may answer before cloud-init has put the keys in place.
	impostorAfter = 30 * time.Second
	// reachWithin bounds the login to a droplet that runs already.
	reachWithin = 20 * time.Second
)

// bootError is a boot that ended with failed steps.
type bootError struct {
	step, tail string
}

func (e *bootError) Error() string { return "boot step " + e.step + " failed" }

// boot logs in as soon as the droplet lets it, delivers the key and follows
// the journal to the boot's end.
func (r *run) boot(ctx context.Context) error {
	deadline := r.began.Add(r.site.BootWithin)
	late := &Known{"boot-too-slow", "to look at the droplet when it is slow, keep it: cattle release --keep-failed VERSION; more time: release: {boot_within: …}",
		fmt.Errorf("the boot was not over within %s", brief(r.site.BootWithin))}
	whole := ctx
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, late)
	defer cancel()
	seen := map[string]droplets.StepState{}
	for {
		// Not on the boot's context: a wait that ends by itself says what it saw last.
		if err := r.login(whole, time.Until(deadline)); err != nil {
			return err
		}
		end, err := r.follow(ctx, seen)
		if err == nil {
			return end
		}
		if ctx.Err() != nil {
			return r.tooLate(context.Cause(ctx))
		}
		if final(err) {
			return err
		}
		// The connection broke, or the scripts are not written yet: again.
		r.machine.Close()
		if err := pause(ctx, dialPause); err != nil {
			return err
		}
	}
}

// final tells that to try it once more would change nothing.
func final(err error) bool {
	var refused *droplets.VerbError
	var failed *droplets.CommandError
	var unsent *sendError
	return errors.As(err, &refused) && refused.Exit != notThereYet || errors.As(err, &failed) || errors.As(err, &unsent)
}

// notThereYet is a shell's exit status for a command that it cannot find.
const notThereYet = 127

// login connects to the run's droplet.
func (r *run) login(ctx context.Context, within time.Duration) error {
	m, err := r.connect(ctx, r.droplet, r.birth.HostKey, within)
	if err == nil {
		r.machine = m
	}
	return err
}

// connect tries until the droplet lets the operator in.
func (r *run) connect(ctx context.Context, d droplets.Droplet, hostKey string, within time.Duration) (*droplets.Machine, error) {
	var m *droplets.Machine
	var refusedSince time.Time
	address := d.Address(r.ip)
	what := fmt.Sprintf("droplet %d to answer SSH at %s", d.ID, address)
	err := droplets.Wait(ctx, what, within, droplets.Every(dialPause), func(ctx context.Context) (bool, error) {
		var err error
		if m, err = droplets.Connect(ctx, r.Dialer, r.Login, address, hostKey); err == nil {
			return true, nil
		}
		var impostor *droplets.HostKeyError
		var auth *droplets.AuthError
		if !errors.As(err, &impostor) && !errors.As(err, &auth) {
			refusedSince = time.Time{}
			return false, err
		}
		if refusedSince.IsZero() {
			refusedSince = time.Now()
		}
		return time.Since(refusedSince) >= impostorAfter, err
	})
	return m, err
}

// follow delivers the key, and brings the images once the boot waits for them,
// while it reads the journal. end is how the boot ended; err is why that could
// not be learnt.
func (r *run) follow(ctx context.Context, seen map[string]droplets.StepState) (end, err error) {
	whole := ctx
	g, ctx := errgroup.WithContext(ctx)
	tell := func(e droplets.JournalEntry) {
		// What still comes in behind an interrupt would be told by chance.
		if whole.Err() == nil {
			r.tellBoot(e, seen)
		}
	}
	if key := r.plan.candidate.Key; key != nil {
		g.Go(func() error { return r.machine.DeliverKey(ctx, key.Reveal()) })
	}
	// Of a boot that has failed nothing is waited for any more.
	needed, failed := context.WithCancel(ctx)
	defer failed()
	bring := sync.OnceFunc(func() {
		g.Go(func() error {
			if err := r.bring(needed); err != nil && needed.Err() == nil {
				return err
			}
			return nil
		})
	})
	g.Go(func() (err error) {
		if end, err = r.journal(ctx, tell, bring); end != nil {
			failed()
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return end, nil
}

// journal reads the boot's journal to its end, which is nil for one that went
// well, else that of the first step that failed. It calls bring whenever the
// boot waits for images.
func (r *run) journal(ctx context.Context, tell func(droplets.JournalEntry), bring func()) (end, err error) {
	var first *bootError
	err = r.machine.Journal(ctx, func(e droplets.JournalEntry) {
		tell(e)
		if e.Step == imagesStep && r.plan.candidate.Images != nil {
			if r.arrived = e.State == droplets.StepOK; e.State == droplets.StepRunning {
				bring()
			}
		}
		if e.State != droplets.StepFailed {
			return
		}
		if first == nil {
			first = &bootError{e.Step, droplets.Printable(string(e.Tail))}
		}
		if e.Step == droplets.BootStep {
			end = first
		}
	})
	return end, err
}

// tellBoot emits an entry once, also when the journal is read again from its
// beginning after a broken connection.
func (r *run) tellBoot(e droplets.JournalEntry, seen map[string]droplets.StepState) {
	if seen[e.Step] == e.State || e.Step == droplets.BootStep {
		return
	}
	seen[e.Step] = e.State
	r.emit(Event{Kind: KindBoot, Step: e.Step, State: State(e.State),
		Droplet: clockOf(e), Elapsed: time.Duration(e.MS) * time.Millisecond, Tail: droplets.Printable(string(e.Tail))})
}

// clockOf is an entry's time by the droplet's clock; zero where that says what
// no calendar can.
func clockOf(e droplets.JournalEntry) time.Time {
	at := time.UnixMilli(e.At).UTC()
	if e.At <= 0 || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}

// reach logs in to the standby that a rollback goes back to.
func (r *run) reach(ctx context.Context) error {
	t := r.plan.target
	now, err := r.unlocked(ctx, *t)
	if err != nil {
		return err
	}
	r.droplet, r.birth = now, t.Birth
	owned := r.site.owns(now)
	switch {
	case now.Status == "":
		return &Known{"standby-gone", "cattle status shows what there is", fmt.Errorf("the standby %s is gone: somebody destroyed it", t.Name)}
	case owned != nil:
		return fmt.Errorf("the standby %s: %w", t.Name, owned)
	case now.Status == "active":
		return r.login(ctx, reachWithin)
	default:
		return &Known{"standby-off", fmt.Sprintf("doctl compute droplet-action power-on %d", t.ID), fmt.Errorf("the standby %s is %s", t.Name, now.Status)}
	}
}
