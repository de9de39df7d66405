package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cattle/droplets"
)

// The operator's own commands have a say before the switch, and hear of the
// outcome. They run on his machine, so how is his business: see Operator.RunHook.

// Hooks are those that a profile has: programs and their arguments, nil for
// none.
type Hooks struct {
	BeforeSwitch, AfterRelease, OnFailure []string
	Deadline                              time.Duration // of each
}

// The names of hooks. The first two are steps of a plan.
const (
	BeforeSwitch = "before-switch"
	AfterRelease = "after-release"
	OnFailure    = "on-failure"
)

// hookEnds is what RunHook may take to end a command after its deadline.
const hookEnds = 10 * time.Second

// A Hook is one of them in its moment.
type Hook struct {
	Name     string
	Command  []string
	Deadline time.Duration
	Facts    Facts
	// Err is what the plan has come to: nil before the switch, nil or an
	// *Incomplete where it serves, and else why it does not.
	Err error
	// Tell takes a line that the command said.
	Tell func(line string)
}

// Facts are what a hook may want to know of the plan.
type Facts struct {
	App      string `json:"app"`
	Verb     string `json:"verb"`
	Release  string `json:"release"`
	Previous string `json:"previous"` // that served when the plan was made, "" for none
	Attempt  string `json:"attempt"`
	Droplet  int    `json:"droplet"` // 0 while there is none
	Address  string `json:"address"` // its own
	IP       string `json:"ip"`      // the reserved one, "" while there is none
}

// beforeSwitch is the step in which the operator may still refuse. A rollback
// has none: nothing beside the standby may hold it up.
func (p *Plan) beforeSwitch() []Step {
	h := p.Site.Hooks
	if len(h.BeforeSwitch) == 0 || p.target != nil {
		return nil
	}
	title := fmt.Sprintf("here: %s, for %s at most; failing refuses the release", droplets.Quote(h.BeforeSwitch...), brief(h.Deadline))
	return []Step{{Name: BeforeSwitch, Title: title, run: (*run).beforeSwitch, held: p.moves()}}
}

func (p *Plan) afterRelease() []Step {
	h := p.Site.Hooks
	if len(h.AfterRelease) == 0 {
		return nil
	}
	title := fmt.Sprintf("here: %s, for %s at most", droplets.Quote(h.AfterRelease...), brief(h.Deadline))
	return []Step{{Name: AfterRelease, Title: title, run: (*run).afterRelease, after: true, stops: true}}
}

func (r *run) beforeSwitch(ctx context.Context) error {
	return r.hook(ctx, BeforeSwitch, r.site.Hooks.BeforeSwitch, nil)
}

func (r *run) afterRelease(ctx context.Context) error {
	command := r.site.Hooks.AfterRelease
	var so error
	if len(r.leftovers) > 0 {
		so = &Incomplete{r.leftovers}
	}
	if err := r.hook(ctx, AfterRelease, command, so); err != nil {
		return &byHand{err, droplets.Quote(command...)}
	}
	return nil
}

// onFailure tells the operator's command why a plan that was begun has failed.
// That this fails, too, changes nothing.
func (r *run) onFailure(ctx context.Context, cause error) {
	command := r.site.Hooks.OnFailure
	if len(command) == 0 || r.plan.bakes() || forGood(cause) {
		return
	}
	if ctx.Err() != nil { // what was interrupted has failed as well
		ctx = context.WithoutCancel(ctx)
	}
	r.notice("%s: %s", OnFailure, droplets.Quote(command...))
	if err := r.hook(ctx, OnFailure, command, cause); err != nil {
		r.notice("%s failed: %v", OnFailure, err)
	}
}

// forGood tells an outcome with which the release serves.
func forGood(err error) bool {
	var incomplete *Incomplete
	return err == nil || errors.As(err, &incomplete)
}

func (r *run) hook(ctx context.Context, name string, command []string, so error) error {
	if r.RunHook == nil {
		return errors.New("nobody is there to run hooks")
	}
	return r.RunHook(ctx, Hook{Name: name, Command: command, Deadline: r.site.Hooks.Deadline, Facts: r.facts(), Err: so,
		Tell: func(line string) {
			r.emit(Event{Kind: KindNotice, Text: name + ": " + droplets.Line(line)})
		}})
}

func (r *run) facts() Facts {
	f := Facts{App: r.site.App, Verb: r.plan.Verb, Release: r.plan.Release, Previous: r.world.Serving(),
		Attempt: r.birth.Attempt, Droplet: r.droplet.ID, IP: r.ip}
	if f.Droplet != 0 {
		f.Address = r.droplet.Address(r.ip)
	}
	return f
}
