package release

import (
	"context"
	"fmt"
	"time"
)

const (
	// brokenWithin is how long a rollback waits for the droplet that it leaves,
	// which may be the broken one.
	brokenWithin = 3 * time.Second
	// handoffWithin bounds the handoff, with the login: the certificates are a few KiB.
	handoffWithin = time.Minute
)

// handoff carries the certificates from the live droplet to the candidate. A
// fresh droplet that asked for its own each time would be locked out by the
// end of the week: five certificates per exact set of names in seven days.
func (r *run) handoff(ctx context.Context) error {
	if !r.plan.moves() && !r.plan.begins() { // else the app is not started yet
		r.scan(ctx)
	}
	return r.carryCertificates(ctx, reachWithin)
}

func (r *run) carryCertificates(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, handoffWithin, fmt.Errorf("the certificates were not carried over within %s", brief(handoffWithin)))
	defer cancel()
	live := r.world.Live
	m, err := r.connect(ctx, live.Droplet, live.Birth.HostKey, within)
	if err != nil {
		return fmt.Errorf("log in to the live droplet: %w", err)
	}
	defer m.Close()
	tar, err := m.Certificates(ctx)
	if err != nil {
		return err
	}
	if err := r.machine.InstallCertificates(ctx, tar); err != nil {
		return err
	}
	if r.plan.watches() {
		r.readOld(ctx, m)
	}
	r.readOldMachine(ctx, m)
	return nil
}

// handoffIfReachable is the handoff of a rollback: the droplet to leave may be
// the broken one, and the standby has the certificates that it served with.
func (r *run) handoffIfReachable(ctx context.Context) error {
	r.scan(ctx)
	if err := r.carryCertificates(ctx, brokenWithin); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.silent = true
		r.notice("the certificates were not carried back (%v); the standby serves with its own", err)
	}
	return nil
}
