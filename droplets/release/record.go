package release

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cattle/droplets"
)

// The history is on the live droplet, and moves on with the certificates. What
// was released is written there last of all; an operator who dies before that
// loses the entry and nothing else.

const (
	// recordWithin bounds the verb, and a login if the connection broke.
	recordWithin = 15 * time.Second
	// recordRefusedWithin is how long a refused release, which is over, waits for
	// the droplet that serves on.
	recordRefusedWithin = 5 * time.Second
	// historyWithin bounds the login and the verb for who only wants to read.
	historyWithin = 10 * time.Second
)

// record writes down what was done, on the droplet that serves now.
func (r *run) record(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, recordWithin, fmt.Errorf("the droplet did not write it down within %s", brief(recordWithin)))
	defer cancel()
	entry := r.entry(droplets.Released)
	var made *droplets.Manifest
	if c := r.plan.candidate; c != nil {
		made = c.Manifest
	}
	err := r.machine.Record(ctx, entry, made)
	if droplets.UnknownVerb(err) {
		return &skipped{"the droplet was made before there was a history: this is not in it"}
	}
	var answered *droplets.VerbError
	if err != nil && !errors.As(err, &answered) {
		r.reconnect(ctx, err)
		err = r.machine.Record(ctx, entry, made)
	}
	if err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "the history lacks this " + r.plan.Verb, Err: err, Command: "cattle history"})
	}
	return nil
}

// recordRefused tells the droplet that serves on what was tried. That it cannot
// be told changes nothing.
func (r *run) recordRefused(ctx context.Context, refused *Refused) {
	live := r.world.Live
	if live == nil || !live.Born || refused.Serving != r.world.Serving() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, recordRefusedWithin)
	defer cancel()
	m, err := droplets.Connect(ctx, r.Dialer, r.Login, live.Address(r.ip), live.Birth.HostKey)
	if err != nil {
		return
	}
	defer m.Close()
	entry := r.entry(droplets.Refused)
	entry.Reason = droplets.Line(refused.Error())
	_ = m.Record(ctx, entry, nil)
}

// entry is what the history keeps of the run.
func (r *run) entry(outcome string) droplets.Entry {
	e := droplets.Entry{At: r.Cloud.Now().UTC().Truncate(time.Millisecond), Verb: r.plan.Verb, Release: r.plan.Release,
		Attempt: r.birth.Attempt, Droplet: r.droplet.ID, Outcome: outcome, By: r.By, Took: time.Since(r.start).Milliseconds()}
	for _, s := range r.report.Steps {
		e.Steps = append(e.Steps, droplets.Took{Name: s.Name, MS: s.Took.Milliseconds()})
	}
	if c := r.report.Cutover; c.Requests > 0 {
		e.Cutover = &droplets.Cutover{Requests: c.Requests, Failed: c.Failed, Gap: c.Gap.Milliseconds()}
	}
	if w := r.report.Watch; w != nil && w.Took > 0 {
		e.Watch = &droplets.Watched{MS: w.Took.Milliseconds(), Requests: w.Requests, Errors: w.Errors}
	}
	if s := r.report.Standby; s != nil {
		e.Standby = s.Release
	}
	e.Updates = r.report.Updates
	if d := r.report.Data; d != nil {
		e.Data = &droplets.Moved{Freeze: d.Freeze.Milliseconds(), Bytes: d.Bytes, Backup: cmp.Or(d.Backup, d.Restored)}
	}
	return e
}

// History asks the live droplet what it knows of the site: one login. A droplet
// that was made before there was a history knows nothing, which is no error.
func (o *Operator) History(ctx context.Context, w *World) (h droplets.History, err error) {
	return o.askLive(ctx, w, func(context.Context, *droplets.Machine) {})
}

// askLive is History, with something else that is asked beside it.
func (o *Operator) askLive(ctx context.Context, w *World, beside func(context.Context, *droplets.Machine)) (h droplets.History, err error) {
	if w.Live == nil || !w.Live.Born {
		return h, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, historyWithin, fmt.Errorf("%s did not tell within %s", w.Live.Name, brief(historyWithin)))
	defer cancel()
	m, err := o.connectLive(ctx, w)
	if err != nil {
		return h, fmt.Errorf("log in to %s: %w", w.Live.Name, err)
	}
	defer m.Close()
	var asked sync.WaitGroup
	asked.Go(func() { beside(ctx, m) })
	if h, err = m.History(ctx); droplets.UnknownVerb(err) {
		h, err = droplets.History{}, nil
	}
	asked.Wait()
	return h, err
}

// Unrecorded tells that what is live got there by something that the history
// does not have: its operator died, or the droplet could not write.
func (w *World) Unrecorded(entries []droplets.Entry) bool {
	if w.Live == nil || !w.Live.Born {
		return false
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].Outcome == droplets.Released {
			return entries[i].Attempt != w.Live.Birth.Attempt
		}
	}
	return true
}
