package release

import (
	"context"
	"fmt"
	"time"

	"cattle/droplets/release/probe"
)

// probeEvery is the rate during a switch: ten requests a second.
const probeEvery = 100 * time.Millisecond

// heldProbe is how often the reserved IP is asked who is there, while writes wait
// for that alone.
const heldProbe = 30 * time.Millisecond

// startProbe watches the reserved IP from before the switch to the confirm's
// end, whatever happens to ctx: it measures, and costs no request to the API.
func (r *run) startProbe(ctx context.Context, every time.Duration) *probe.Prober {
	d := r.door(r.ip, r.status.Certificate != nil)
	return probe.Start(context.WithoutCancel(ctx), d, probe.IdentityPath, every)
}

// host is the name that the site is asked for.
func (s Site) host(fallback string) string {
	if len(s.Domains) > 0 {
		return s.Domains[0]
	}
	return fallback
}

func (r *run) door(address string, https bool) probe.Door {
	return r.Operator.door(r.site, address, https)
}

func (o *Operator) door(site Site, address string, https bool) probe.Door {
	return probe.Door{Dial: o.Dialer.DialContext, HTTPS: https, Address: address, Host: site.host(address), Untrusted: site.Untrusted}
}

// confirm proves that the public gets this release, and calls the guard off.
func (r *run) confirm(ctx context.Context) error {
	if err := r.public(ctx); err != nil {
		return err
	}
	return r.disarm(ctx)
}

// public proves, through the reserved IP, that the public gets this attempt
// and that its health check holds, and that the switch stayed in its budget.
func (r *run) public(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, confirmWithin,
		fmt.Errorf("%s did not answer as attempt %s, %d times in a row, within %s", r.ip, r.birth.Attempt, confirmations, brief(confirmWithin)))
	defer cancel()
	if r.probe == nil {
		r.probe = r.startProbe(ctx, probeEvery)
	}
	seer := r.probe
	if r.plan.waits() { // and visitors with it: what measures is asked more rarely
		seer = r.startProbe(ctx, heldProbe)
		defer seer.Stop()
	}
	if err := seer.Sees(ctx, r.birth.Attempt, confirmations); err != nil {
		return err
	}
	if err := r.publicHealth(ctx); err != nil {
		return fmt.Errorf("through the reserved IP: %w", err)
	}
	r.probe.Stop()
	stats := r.probe.Stats()
	if r.world.Reserved.DropletID == 0 {
		// There was nobody to interrupt: the figures would tell of nothing.
		stats = probe.Stats{}
	}
	r.report.Cutover = stats
	return r.site.Cutover.allows(stats)
}

// publicHealth makes the health check through the reserved IP. A droplet
// without a certificate may obtain one in this very moment, because it is live
// now: it redirects from then on, and is asked over HTTPS.
func (r *run) publicHealth(ctx context.Context) error {
	secure := r.status.Certificate != nil
	d := r.door(r.ip, secure)
	err := d.Healthy(ctx, d.Client(), r.site.Health)
	if err == nil || secure || r.look(ctx) != nil || r.status.Certificate == nil {
		return err
	}
	d = r.door(r.ip, true)
	return d.Healthy(ctx, d.Client(), r.site.Health)
}

func overBudget(format string, args ...any) error {
	return &Known{"cutover-budget", "release again; if this site may cost its visitors more: release: {cutover: …}", fmt.Errorf(format, args...)}
}

func (c Cutover) allows(s probe.Stats) error {
	switch {
	case s.Gap > c.Gap:
		return overBudget("the switch left the public without an answer for %s, the budget is %s", s.Gap.Round(time.Millisecond), brief(c.Gap))
	case s.Failed > c.Failed:
		return overBudget("%d of %d requests failed during the switch, the budget is %d", s.Failed, s.Requests, c.Failed)
	}
	return nil
}
