package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cattle/droplets"
)

// Both droplets of a handoff are asked for things that may be asked for twice:
// an answer that was lost is asked for again, over a new connection.

const (
	// prepareWithin bounds what a droplet has to install and to count first.
	prepareWithin = 5 * time.Minute
	// askEvery is how often one that does not answer is asked again.
	askEvery = 500 * time.Millisecond
)

// A giver is the live droplet whose data is carried away.
type giver struct {
	Member
	machine *droplets.Machine // nil while there is no connection
	facts   droplets.StateFacts
	ready   bool // it has the engine
}

// answered tells that the droplet itself said what is wrong: to ask once more
// would change nothing, but where something else is at work there.
func answered(err error) bool {
	var state *droplets.StateError
	var verb *droplets.VerbError
	var failed *droplets.CommandError
	if errors.As(err, &state) {
		return state.Code != droplets.StateBusy
	}
	return errors.As(err, &verb) || errors.As(err, &failed)
}

// insist asks until there is an answer: each time for try at most, for within
// in all.
func insist(ctx context.Context, what string, within, try time.Duration, ask func(context.Context) error) error {
	return droplets.Wait(ctx, what, within, droplets.Every(askEvery), func(ctx context.Context) (bool, error) {
		if try < within { // two deadlines at one moment would be told of by chance
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, try, fmt.Errorf("no answer within %s", brief(try)))
			defer cancel()
		}
		err := ask(ctx)
		return err == nil || answered(err), err
	})
}

// onOld does something on the droplet that gives, over the connection that
// there is, or a new one.
func (r *run) onOld(ctx context.Context, what string, within, try time.Duration, do func(context.Context, *droplets.Machine) error) error {
	return insist(ctx, fmt.Sprintf("%s to %s", r.giver.Name, what), within, try, func(ctx context.Context) error {
		had := r.giver.machine != nil
		err := r.askOld(ctx, try, do)
		if err != nil && had && r.giver.machine == nil && ctx.Err() == nil {
			err = r.askOld(ctx, try, do)
		}
		return err
	})
}

func (r *run) askOld(ctx context.Context, try time.Duration, do func(context.Context, *droplets.Machine) error) (err error) {
	g := r.giver
	if g.machine == nil {
		// Not for all of the try: of two deadlines at one moment chance would tell.
		if g.machine, err = r.connect(ctx, g.Droplet, g.Birth.HostKey, try-try/10); err != nil {
			return fmt.Errorf("log in to %s: %w", g.Name, err)
		}
	}
	if err = do(ctx, g.machine); err != nil && !answered(err) {
		g.machine.Close()
		g.machine = nil
	}
	return err
}

// onNew does something on the run's droplet.
func (r *run) onNew(ctx context.Context, what string, within, try time.Duration, do func(context.Context, *droplets.Machine) error) error {
	whole := ctx
	return insist(ctx, "the droplet to "+what, within, try, func(ctx context.Context) error {
		err := do(ctx, r.machine)
		if err != nil && !answered(err) {
			r.again(whole)
		}
		return err
	})
}

// statusNow asks the run's droplet how it is, for so long.
func (r *run) statusNow(ctx context.Context, what string, within time.Duration) (s droplets.MachineStatus, err error) {
	err = r.onNew(ctx, what, within, within, func(ctx context.Context, m *droplets.Machine) (err error) {
		s, err = m.Status(ctx)
		return err
	})
	return s, err
}

// again makes a new connection to the run's droplet.
func (r *run) again(ctx context.Context) {
	r.machine.Close()
	if m, err := r.connect(ctx, r.droplet, r.birth.HostKey, askEvery*4); err == nil {
		r.machine = m
	}
}

// equipOld brings the engine to the droplet that gives.
func (r *run) equipOld(ctx context.Context) error {
	if r.giver == nil {
		r.giver = &giver{Member: *r.world.Live}
	}
	if r.giver.ready {
		return nil
	}
	err := r.onOld(ctx, "be ready to give its data", prepareWithin, prepareWithin, func(ctx context.Context, m *droplets.Machine) (err error) {
		r.giver.facts, err = r.ready(ctx, m, false)
		return sided(err, "old")
	})
	r.giver.ready = err == nil
	return err
}

// equip brings it to the run's droplet, if that does not have it yet.
func (r *run) equip(ctx context.Context) error {
	if r.equipped {
		return nil
	}
	_, err := r.equipNew(ctx)
	return err
}

// equipNew brings it to the run's droplet, and tells what is there. A candidate
// takes the spec as its own; a standby keeps the one of its own release.
func (r *run) equipNew(ctx context.Context) (facts droplets.StateFacts, err error) {
	err = r.onNew(ctx, "be ready for its data", prepareWithin, prepareWithin, func(ctx context.Context, m *droplets.Machine) (err error) {
		facts, err = r.ready(ctx, m, r.plan.target == nil)
		return sided(err, "new")
	})
	r.equipped = r.equipped || err == nil
	return facts, err
}

func (r *run) ready(ctx context.Context, m *droplets.Machine, adopt bool) (droplets.StateFacts, error) {
	kit := r.plan.kit()
	if kit == nil {
		return droplets.StateFacts{}, errors.New("what moves the data was not brought along")
	}
	if err := m.Equip(ctx, *kit); err != nil {
		return droplets.StateFacts{}, err
	}
	return m.PrepareState(ctx, adopt)
}

// sided says on which droplet it was, where that did not say so itself.
func sided(err error, side string) error {
	var said *droplets.StateError
	if errors.As(err, &said) && said.Side == "" {
		said.Side = side
	}
	return err
}

// data is the report's part.
func (r *run) dataReport() *DataReport {
	if r.report.Data == nil {
		r.report.Data = &DataReport{}
	}
	return r.report.Data
}
