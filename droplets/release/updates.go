package release

import (
	"context"
	"fmt"
	"time"

	"cattle/droplets"
)

// A rebuild is there for what is new in the distribution, so it tells what that
// was: both droplets are asked, the old one during the handoff and the new one
// at the gate. What cannot be told stops nothing.

const (
	// updatesWithin bounds such a question.
	updatesWithin = 10 * time.Second
	// pendingWithin bounds the login, the fetching of package lists and the question.
	pendingWithin = 3 * time.Minute
)

// installed is what a droplet runs: packages, kernel and images' digests.
type installed struct {
	droplets.Installed
	images map[string]string
}

func (r *run) rebuilds() bool { return r.plan.Verb == "rebuild" }

func (r *run) readOldMachine(ctx context.Context, m *droplets.Machine) {
	if !r.rebuilds() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, updatesWithin)
	defer cancel()
	on, err := m.Installed(ctx)
	var status droplets.MachineStatus
	if err == nil {
		status, err = m.Status(ctx)
	}
	if err != nil {
		r.notice("%s does not tell what it runs on (%v): what the rebuild changes is not known", r.world.Live.Name, err)
		return
	}
	r.oldMachine = &installed{on, status.Images}
}

// readUpdates compares the new droplet with the old one.
func (r *run) readUpdates(ctx context.Context) {
	if r.oldMachine == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, updatesWithin)
	defer cancel()
	on, err := r.machine.Installed(asking)
	if err != nil {
		// The connection may have been cut in the middle.
		r.reconnect(ctx, err)
		r.notice("the droplet does not tell what it runs on (%v): what the rebuild changes is not known", err)
		return
	}
	u := on.Since(r.oldMachine.Installed)
	u.Images = droplets.ChangedImages(r.oldMachine.images, r.status.Images)
	r.report.Updates = &u
}

// Pending asks the live droplet which updates a rebuild would bring. It has the
// droplet fetch its package lists, so it takes seconds.
func (o *Operator) Pending(ctx context.Context, w *World) (p droplets.Pending, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pendingWithin, fmt.Errorf("%s did not tell within %s", w.Live.Name, brief(pendingWithin)))
	defer cancel()
	m, err := droplets.Connect(ctx, o.Dialer, o.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
	if err != nil {
		return p, fmt.Errorf("log in to %s: %w", w.Live.Name, err)
	}
	defer m.Close()
	return m.Pending(ctx)
}
