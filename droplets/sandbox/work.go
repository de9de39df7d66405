package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// With Machines, an action has its effect in two halves: a machine carries it
// out, in a goroutine, and then the account shows it. Latency passes first:
// it is the least that an action takes, and what the machine takes comes on
// top.

// A job is what machines have to do for an action.
type job func(context.Context) error

// hand gives an action that is due to the machines. It says whether they have
// it; without Machines, or with an outcome that has no effect, they have not.
func (c *Cloud) hand(a *action) bool {
	if !c.real() || a.Outcome == Errored || a.Outcome == NoOp {
		return false
	}
	work := c.work(a)
	if work == nil {
		return false
	}
	a.carried = true
	c.enqueue(a.place(), func(ctx context.Context) { c.handBack(a, work(ctx)) })
	return true
}

// place is what actions happen to one after the other: a droplet or an address.
func (a *action) place() string {
	switch a.ResourceType {
	case "reserved_ip":
		return a.IP
	case "volume":
		return dropletPlace(a.Droplet)
	}
	return dropletPlace(a.Resource)
}

func dropletPlace(id int) string { return fmt.Sprint("droplet ", id) }

// work says what an action means to the machines; nil: nothing.
func (c *Cloud) work(a *action) job {
	switch a.ResourceType {
	case "reserved_ip":
		return c.assignWork(a)
	case "volume":
		return c.plugWork(a)
	}
	d := c.droplet(a.Resource)
	if d == nil {
		return nil
	}
	d.stopped = false
	m := c.opt.Machines
	of := func(f func(context.Context, int) error) job {
		return func(ctx context.Context) error { return f(ctx, d.ID) }
	}
	switch a.Type {
	case "create":
		spec := c.spec(d)
		return func(ctx context.Context) error { return m.Create(ctx, spec) }
	case "destroy":
		return of(m.Destroy)
	case "power_on":
		if d.Status == "active" {
			return nil
		}
		return of(m.PowerOn)
	case "power_off":
		return of(m.PowerOff)
	case "shutdown":
		return of(m.Shutdown)
	case "reboot":
		return of(m.Reboot)
	case "power_cycle":
		return func(ctx context.Context) error { return c.cycle(ctx, d.ID) }
	case "snapshot":
		a.Image = c.state.id()
		image := a.Image
		return func(ctx context.Context) error { return m.Snapshot(ctx, d.ID, image) }
	}
	return nil
}

func (c *Cloud) cycle(ctx context.Context, id int) error {
	if err := c.opt.Machines.PowerOff(ctx, id); err != nil {
		return err
	}
	return c.opt.Machines.PowerOn(ctx, id)
}

// assignWork moves an address. To a droplet that has gone in the meantime
// there is nothing to do.
func (c *Cloud) assignWork(a *action) job {
	var to netip.Addr
	if a.Droplet != 0 {
		d := c.droplet(a.Droplet)
		if d == nil {
			return nil
		}
		to = address(d.IP)
	}
	return func(ctx context.Context) error { return c.opt.Machines.Assign(ctx, address(a.IP), to) }
}

// handBack ends an action that the machines have carried out, or failed to. A
// cloud that closes has nobody left to tell.
func (c *Cloud) handBack(a *action, err error) {
	now := c.lock()
	defer c.unlock()
	if c.closed {
		return
	}
	a.carried, a.Ends = false, now
	if err != nil {
		a.fault = a.Type + ": " + err.Error()
	}
	c.blame(a)
	c.finish(a)
}

// blame writes the reason of a failure down for Snapshot, or takes back what
// an earlier action left there.
func (c *Cloud) blame(a *action) {
	d := c.droplet(a.Resource)
	if v := c.volume(a.Volume); v != nil {
		v.Fault = a.fault
		d = c.droplet(a.Droplet)
	}
	if ip := c.reserved(a.IP); ip != nil {
		ip.Fault = a.fault
		if d = c.droplet(a.Droplet); d == nil {
			d = c.droplet(ip.Droplet)
		}
	}
	if d != nil {
		d.Fault = a.fault
	}
}

// lead lets an address lead where the account says, after whatever is being
// done to it: nowhere, when it is unassigned or gone.
func (c *Cloud) lead(ip string) {
	if !c.real() {
		return
	}
	c.enqueue(ip, func(ctx context.Context) {
		err := c.opt.Machines.Assign(ctx, address(ip), c.target(ip))
		c.lock()
		defer c.unlock()
		if r := c.reserved(ip); r != nil && err != nil {
			r.Fault = err.Error()
		}
	})
}

// target is the droplet's address that a reserved one leads to.
func (c *Cloud) target(ip string) (to netip.Addr) {
	c.lock()
	defer c.unlock()
	if r := c.reserved(ip); r != nil {
		if d := c.droplet(r.Droplet); d != nil {
			to = address(d.IP)
		}
	}
	return to
}

// enqueue runs work in a goroutine, after what was enqueued before for the
// same place. The cloud must be locked.
func (c *Cloud) enqueue(place string, work func(context.Context)) {
	if c.closed {
		return
	}
	before, done := c.queues[place], make(chan struct{})
	c.queues[place] = done
	c.jobs.Go(func() {
		if before != nil {
			<-before
		}
		if c.ctx.Err() == nil {
			work(c.ctx)
		}
		close(done)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.queues[place] == done {
			delete(c.queues, place)
		}
	})
}

var errReal = errors.New("the machines of this sandbox are real: only stub machines can be told how to behave")
