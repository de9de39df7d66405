package release

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

// readyWithin bounds the look at a standby: who asks for the status waits for it.
const readyWithin = 10 * time.Second

// Readiness is whether a standby could take over now: what the gate of a
// rollback would find.
type Readiness struct {
	Standby Member
	Problem error // nil: it could take over
	HTTPS   bool  // it answers over HTTPS
	// Unchecked is what could not be looked at, "" when all was.
	Unchecked string
}

// Check verifies what the public gets and gates every standby, all at the same
// time. Without a Login what needs one is left unchecked.
func (o *Operator) Check(ctx context.Context, site Site, w *World) (Verdict, []Readiness) {
	verdict := make(chan Verdict, 1)
	go func() { verdict <- o.verdict(ctx, site, w) }()
	out := make([]Readiness, len(w.Standbys))
	each(w.Standbys, func(i int) { out[i] = o.ready(ctx, site, w, w.Standbys[i]) })
	v := <-verdict
	for i, r := range out {
		if r.Problem == nil && v.HTTPS && !r.HTTPS {
			out[i].Problem = fmt.Errorf("it has no certificate: HTTPS would be down")
		}
	}
	return v, out
}

// verdict is Verify with what the live droplet says of its data.
func (o *Operator) verdict(ctx context.Context, site Site, w *World) Verdict {
	if !site.State && !site.Backups || o.Login == nil || w.Live == nil || !w.Live.Born {
		return o.Verify(ctx, site, w)
	}
	told := make(chan Verdict, 1)
	go func() {
		s, err := o.StateOf(ctx, w)
		told <- Verdict{State: s, StateErr: err}
	}()
	v, said := o.Verify(ctx, site, w), <-told
	v.State, v.StateErr = said.State, said.StateErr
	return v
}

func (o *Operator) ready(ctx context.Context, site Site, w *World, m Member) Readiness {
	r := Readiness{Standby: m}
	if m.Status != "active" {
		r.Problem = &Known{"standby-off", "", fmt.Errorf("it is %s", m.Status)}
		return r
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("it did not answer within %s", brief(readyWithin)))
	defer cancel()
	address := m.Address(w.Reserved.IP)
	away := w.without(m.ID)
	inside := make(chan error, 1)
	if o.Login == nil {
		r.Unchecked = "services and certificate, without an SSH key"
		inside <- nil
	} else {
		go func() { inside <- o.soundInside(ctx, site, m, address, away) }()
	}
	want := serves
	if away { // it is closed, until it is gone back to with the volume
		want, r.Unchecked = answers, "its app, which has no volume to run on"
	}
	var outside error
	r.HTTPS, outside = o.askFor(ctx, site, address, m.Birth.Attempt, want)
	r.Problem = together([]error{<-inside, outside})
	return r
}

// soundInside logs in to a standby and judges its status, as the gate does.
func (o *Operator) soundInside(ctx context.Context, site Site, m Member, address string, away bool) error {
	machine, err := droplets.Connect(ctx, o.Dialer, o.Login, address, m.Birth.HostKey)
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	defer machine.Close()
	s, err := machine.Status(ctx)
	if err != nil {
		return err
	}
	if away {
		site.Services, s.Services = nil, nil
	}
	if err := sound(s, m.Birth.Attempt, site.Services); err != nil {
		return err
	}
	return certified(s.Certificate, site.Domains)
}

// certified judges a certificate, where there is one.
func certified(c *droplets.Certificate, domains []string) error {
	if c == nil {
		return nil
	}
	if !c.NotAfter.After(time.Now()) {
		return fmt.Errorf("its certificate expired %s", c.NotAfter.UTC().Format(time.RFC3339))
	}
	if lacks := lacking(c, domains); len(lacks) > 0 {
		return fmt.Errorf("its certificate does not cover %s", strings.Join(lacks, ", "))
	}
	return nil
}

// lacking are the domains that a certificate does not cover.
func lacking(c *droplets.Certificate, domains []string) []string {
	return slices.DeleteFunc(slices.Clone(domains), func(d string) bool { return slices.Contains(c.Names, d) })
}
