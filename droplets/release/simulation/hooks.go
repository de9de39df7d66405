package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// What a hook of a scene does, in place of a command.
const (
	works   = "works"
	refuses = "refuses"
	hangs   = "hangs"
)

// hookTakes is how long one works, and hookWithin how long one may.
const (
	hookTakes  = 2 * time.Second
	hookWithin = 20 * time.Second
)

// hooked has the profile ask for hooks that behave so.
func hooked(before, after string) func(*Bench) {
	return func(b *Bench) {
		b.Site.Hooks = release.Hooks{BeforeSwitch: []string{before}, AfterRelease: []string{after}, OnFailure: []string{works}, Deadline: hookWithin}
	}
}

// A hookRun is a hook that was begun.
type hookRun struct {
	release.Hook
	at time.Time
}

// calmly is a hook of who converges: it works, at once.
func calmly(context.Context, release.Hook) error { return nil }

// runHook stands for the command's process, which dies with its operator.
func (w *wire) runHook(ctx context.Context, h release.Hook) error {
	w.b.began(w.agent, h)
	takes := w.span("hook "+h.Name, hookTakes)
	if h.Command[0] == hangs {
		takes = w.span("hook "+h.Name, h.Deadline)
	}
	if err := w.wait(ctx, takes); err != nil {
		return err
	}
	h.Tell("says something")
	switch h.Command[0] {
	case refuses:
		return errors.New("refuses ended with exit status 1")
	case hangs:
		return fmt.Errorf("hangs was not done within %s", h.Deadline)
	}
	return nil
}

// began keeps a hook, as say keeps an event.
func (b *Bench) began(who string, h release.Hook) {
	b.mark(who, "hook %s: %+v", h.Name, h.Facts)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range slices.Backward(b.runs) {
		if r.who == who && r.ended.IsZero() {
			r.hooks = append(r.hooks, hookRun{h, time.Now()})
			return
		}
	}
}

// judgeHooks wants each hook of a run to have run once, if its moment came, and
// before-switch to be over before the address was moved.
func (b *Bench) judgeHooks(r *run) {
	if r.plan == nil || r.plan.Verb == "bake" { // which is no release
		return
	}
	asked := r.plan.Site.Hooks
	var incomplete *release.Incomplete
	var refused *release.Refused
	var broken *release.Broken
	serves := r.err == nil || errors.As(r.err, &incomplete)
	failed := errors.As(r.err, &refused) || errors.As(r.err, &broken)
	b.wantHook(r, release.AfterRelease, asked.AfterRelease != nil && serves)
	b.wantHook(r, release.OnFailure, asked.OnFailure != nil && failed)
	for _, h := range r.hooks {
		if h.Facts.Release != r.plan.Release || h.Facts.Verb != r.plan.Verb {
			b.violate(hooksRun, "%s was told %+v", h.Name, h.Facts)
		}
		if h.Name == release.BeforeSwitch && (h.Facts.Verb == "rollback" || b.movedBy(r, h.at)) {
			b.violate(hooksRun, "%s: %s came too late, or had no business there", r.verb, h.Name)
		}
	}
}

func (b *Bench) wantHook(r *run, name string, want bool) {
	n := 0
	for _, h := range r.hooks {
		if h.Name == name {
			n++
		}
	}
	if want != (n == 1) || n > 1 {
		b.violate(hooksRun, "%s: %s ran %d times: %s", r.verb, name, n, outcome(r.err))
	}
}

// movedBy tells whether the run had ordered a move of the address before then.
func (b *Bench) movedBy(r *run, then time.Time) bool {
	return slices.ContainsFunc(b.Cloud.Changes(), func(c sandbox.Change) bool {
		return c.What == sandbox.Sent && c.Agent == r.who && c.At.After(r.began) && c.At.Before(then)
	})
}
