package release

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

const (
	// lendFor is the most that the one-time key is good for.
	lendFor = time.Hour
	// lendTry bounds one try at lending, or giving back.
	lendTry = 15 * time.Second
	// toldEvery is how often the operator is told how far the data is.
	toldEvery = time.Second
	// forwarded is the peer where the operator stands between the droplets: he is
	// let in already.
	forwarded = "-"
)

// copyOver copies the data while the old droplet serves, and finds out before
// anything is held whether the rest will fit in the time that there is.
func (r *run) copyOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, copyWithin, fmt.Errorf("the data was not copied within %s", brief(copyWithin)))
	defer cancel()
	facts, err := r.equipBoth(ctx)
	if err != nil {
		return err
	}
	if err := fits(r.giver.facts, facts); err != nil {
		return err
	}
	if err := r.lend(ctx, facts); err != nil {
		return err
	}
	bulk, err := r.pull(ctx, droplets.PullBulk)
	if err != nil {
		return err
	}
	if r.rebuilds() && r.look(ctx) == nil {
		r.readUpdates(ctx)
	}
	return r.inTime(time.Duration(bulk.Estimate) * time.Millisecond)
}

func (r *run) equipBoth(ctx context.Context) (facts droplets.StateFacts, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.equipOld(gctx) })
	g.Go(func() (err error) {
		facts, err = r.equipNew(gctx)
		return err
	})
	if err = g.Wait(); ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return facts, err
}

// fits compares what is there with what there is room for, and servers' versions:
// data goes to the same or a newer one.
func fits(old, fresh droplets.StateFacts) error {
	has := map[string]droplets.StateEntry{}
	for _, e := range fresh.Entries {
		has[e.Name] = e
	}
	var need int64
	for _, e := range old.Entries {
		if e.Kind == "volume" { // which brings its own room
			continue
		}
		there := has[e.Name]
		if isOlder(there.Version, e.Version) {
			return &droplets.StateError{Code: droplets.StateServerOlder, Entry: e.Name, Side: "new",
				Message: fmt.Sprintf("%s cannot take what %s wrote", there.Version, e.Version)}
		}
		more := e.Bytes
		if e.Version != "" { // its dump lies beside it
			more *= 2
		}
		need += max(0, more-there.Bytes)
	}
	if need += need / 10; need > fresh.Free {
		return &droplets.StateError{Code: droplets.StateDiskFull, Side: "new",
			Message: fmt.Sprintf("the data needs %s MB, and %s MB are free", megabytes(need), megabytes(fresh.Free))}
	}
	return nil
}

// isOlder compares two versions of one product, "mariadb 11.8.3"; of two
// products, or where one is not known, nobody can tell here.
func isOlder(a, b string) bool {
	product, va, _ := strings.Cut(a, " ")
	other, vb, _ := strings.Cut(b, " ")
	if product != other || va == "" || vb == "" {
		return false
	}
	as, bs := strings.Split(va, "."), strings.Split(vb, ".")
	for i := range min(len(as), len(bs), 2) { // the third number changes no format
		x, xerr := strconv.Atoi(as[i])
		y, yerr := strconv.Atoi(bs[i])
		if xerr != nil || yerr != nil || x != y {
			return xerr == nil && yerr == nil && x < y
		}
	}
	return false
}

// lend has the old droplet take a key that is made for this copy alone, and
// decides by which way the data goes.
func (r *run) lend(ctx context.Context, fresh droplets.StateFacts) error {
	key, err := droplets.NewLentKey()
	if err != nil {
		return err
	}
	g := r.giver
	peer := forwarded
	if !r.ViaOperator {
		r.from.Address, peer = r.way(g.facts, fresh)
	}
	r.from.Key, r.from.Port = key, g.facts.Port
	r.pushUndo(undoStep{what: "take the one-time key back from " + g.Name, run: r.returnLent,
		leftover: Leftover{What: fmt.Sprintf("%s takes the one-time key of this release for %s more at most", g.Name, brief(lendFor)), Command: "cattle status"}})
	return r.onOld(ctx, "lend its data", time.Minute, lendTry, func(ctx context.Context, m *droplets.Machine) error {
		r.from.HostKey = m.HostKey()
		return m.Lend(ctx, key.Public, lendFor, peer)
	})
}

// way is the address at which the new droplet finds the old one, and the one
// that it comes from: the private ones where both are in one network.
func (r *run) way(old, fresh droplets.StateFacts) (address, peer string) {
	a, b := r.giver.Droplet, r.droplet
	if old.Addresses.Private != "" && fresh.Addresses.Private != "" && a.VPC != "" && a.VPC == b.VPC {
		return old.Addresses.Private, fresh.Addresses.Private
	}
	return a.Address(r.ip), b.Address(r.ip)
}

func (r *run) returnLent(ctx context.Context) error {
	return r.onOld(ctx, "take its key back", lendTry, lendTry/3, func(ctx context.Context, m *droplets.Machine) error { return m.ReturnLent(ctx) })
}

// pull has the new droplet fetch. A connection of the operator's that broke is
// made anew; one between the droplets is tried twice while nobody waits.
func (r *run) pull(ctx context.Context, pass droplets.PullPass) (p droplets.Pulled, err error) {
	began := time.Now()
	for cuts := 0; ; {
		if p, err = r.pullOnce(ctx, pass); err == nil {
			r.keepPulled(pass, p, time.Since(began))
			return p, nil
		}
		var said *droplets.StateError
		cut := errors.As(err, &said) && said.Code == droplets.StateCut && pass == droplets.PullBulk && cuts < 1
		if ctx.Err() != nil {
			return p, context.Cause(ctx)
		}
		if answered(err) && !cut {
			return p, err
		}
		if cuts++; cuts > pullTries {
			return p, err
		}
		r.notice("the copy was cut (%v); going on where it was", err)
		r.again(ctx)
		if err := pause(ctx, askEvery); err != nil {
			return p, err
		}
	}
}

// pullTries are for a connection of the operator's that breaks again and again.
const pullTries = 20

func (r *run) pullOnce(ctx context.Context, pass droplets.PullPass) (droplets.Pulled, error) {
	from := r.from
	if r.ViaOperator {
		port, stop, err := r.machine.Forward(r.dialOld)
		if err != nil {
			return droplets.Pulled{}, fmt.Errorf("have a port of the new droplet lead to the old one: %w", err)
		}
		defer stop()
		from.Address, from.Port = "127.0.0.1", port
	}
	return r.machine.Pull(ctx, pass, from, r.tellPulled(pass))
}

func (r *run) dialOld(ctx context.Context) (net.Conn, error) {
	return r.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.giver.Address(r.ip), strconv.Itoa(r.giver.facts.Port)))
}

// tellPulled tells once a second how far the entries are, how fast it goes, and
// how long the rest will take.
func (r *run) tellPulled(pass droplets.PullPass) func(droplets.PullProgress) {
	step := "copy"
	if pass == droplets.PullDelta {
		step = "delta"
	}
	began, told := map[string]time.Time{}, map[string]time.Time{}
	return func(p droplets.PullProgress) {
		now := time.Now()
		if began[p.Entry].IsZero() {
			began[p.Entry], told[p.Entry] = now, now
		}
		if now.Sub(told[p.Entry]) < toldEvery {
			return
		}
		told[p.Entry] = now
		r.emit(Event{Kind: KindData, Step: step, State: StateRunning, Text: p.Entry + ": " + progress(p.Bytes, p.Of, now.Sub(began[p.Entry]))})
	}
}

// keepPulled writes a pass into the report.
func (r *run) keepPulled(pass droplets.PullPass, p droplets.Pulled, _ time.Duration) {
	d := r.dataReport()
	kinds := map[string]string{}
	for _, e := range r.giver.facts.Entries {
		kinds[e.Name] = e.Kind
	}
	d.Bytes += p.Bytes()
	for _, e := range p.Entries {
		entry := d.entry(e.Entry)
		entry.Kind = kinds[e.Entry]
		if pass == droplets.PullBulk {
			entry.Bulk = e.Bytes
			continue
		}
		entry.Delta, entry.Took = e.Bytes, time.Duration(e.MS)*time.Millisecond
	}
}

func (d *DataReport) entry(name string) *DataEntry {
	for i := range d.Entries {
		if d.Entries[i].Name == name {
			return &d.Entries[i]
		}
	}
	d.Entries = append(d.Entries, DataEntry{Name: name})
	return &d.Entries[len(d.Entries)-1]
}

// inTime refuses, before anything is held, what cannot be done in the time that
// writes may wait: the delta, and the gate behind it.
func (r *run) inTime(estimate time.Duration) error {
	gate := time.Duration(r.site.Health.Successes-1) * r.interval()
	if estimate+gate <= r.site.MaxFreeze {
		return nil
	}
	return &Known{"freeze-would-be-too-long", "release at a quieter hour; or let writes wait for longer: release: {max_freeze: …}",
		fmt.Errorf("writes would have to wait for about %s, and release.max_freeze is %s: nothing was held", brief((estimate + gate).Round(100*time.Millisecond)), brief(r.site.MaxFreeze))}
}
