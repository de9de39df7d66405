package release

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// Verdict is what the public gets right now.
type Verdict struct {
	Serving bool // the live droplet's own attempt answers through the reserved IP, healthy
	HTTPS   bool
	Err     error // why not
	// State is what the live droplet says of its data; nil where the site has
	// none, and where it was not asked. StateErr is why it did not say.
	State    *droplets.StateBrief
	StateErr error
}

// Held tells that the live droplet takes no writes: a release died, or is under
// way. It opens by itself.
func (v Verdict) Held() bool { return v.State != nil && v.State.Phase.Holds() }

// Verify asks through the reserved IP, as confirm does: does the live droplet's
// attempt answer, and does the health check hold? HTTPS is tried first; a site
// without a certificate yet answers over HTTP.
func (o *Operator) Verify(ctx context.Context, site Site, w *World) Verdict {
	if w.Live == nil || !w.Live.Born {
		return Verdict{Err: fmt.Errorf("no droplet of %s holds a reserved IP", site.App)}
	}
	https, err := o.ask(ctx, site, w.Reserved.IP, w.Live.Birth.Attempt)
	return Verdict{Serving: err == nil, HTTPS: https && err == nil, Err: err}
}

// ask makes the health check at an address, of a droplet or reserved, and finds
// that this attempt answers there. https tells which way answered.
func (o *Operator) ask(ctx context.Context, site Site, address, attempt string) (https bool, err error) {
	return o.askFor(ctx, site, address, attempt, serves)
}

// askFor is ask for as much as want wants.
func (o *Operator) askFor(ctx context.Context, site Site, address, attempt string, want func(context.Context, probe.Door, string, probe.Health) error) (https bool, err error) {
	secure := want(ctx, o.door(site, address, true), attempt, site.Health)
	var closed *net.OpError
	if !errors.As(secure, &closed) {
		// HTTPS answers. What HTTP says beside it, a redirect, explains nothing.
		return true, secure
	}
	return false, want(ctx, o.door(site, address, false), attempt, site.Health)
}

// otherAnswers means that another droplet, or nobody of ours, answers.
type otherAnswers struct{ got, want string }

func (e *otherAnswers) Error() string {
	return fmt.Sprintf("attempt %q answers, not %s", e.got, e.want)
}

func serves(ctx context.Context, d probe.Door, attempt string, h probe.Health) error {
	ctx, cancel := context.WithTimeout(ctx, probe.Timeout+h.Timeout)
	defer cancel()
	client := d.Client()
	if err := identified(ctx, d, client, attempt); err != nil {
		return err
	}
	return d.Healthy(ctx, client, h)
}

// answers finds that the attempt answers, healthy or not.
func answers(ctx context.Context, d probe.Door, attempt string, _ probe.Health) error {
	ctx, cancel := context.WithTimeout(ctx, probe.Timeout)
	defer cancel()
	return identified(ctx, d, d.Client(), attempt)
}

func identified(ctx context.Context, d probe.Door, client *http.Client, attempt string) error {
	id, err := d.Identity(ctx, client)
	if err == nil && id != attempt {
		err = &otherAnswers{droplets.Printable(id), attempt}
	}
	return err
}

// Pins reads from the live droplet which digest each image reference stood for
// when it was released: a rebuild is the same release. It logs in, so it takes
// as long as SSH does.
func (o *Operator) Pins(ctx context.Context, w *World) (map[string]string, error) {
	if w.Live == nil || !w.Live.Born {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	s, err := o.LiveStatus(ctx, w)
	return s.Images, err
}

// LiveStatus asks the live droplet, which has to be there, how it is: one login.
func (o *Operator) LiveStatus(ctx context.Context, w *World) (s droplets.MachineStatus, err error) {
	m, err := o.connectLive(ctx, w)
	if err != nil {
		return s, err
	}
	defer m.Close()
	return m.Status(ctx)
}

// Told is what the live droplet says to whoever plans.
type Told struct {
	History droplets.History
	Status  *droplets.MachineStatus // nil where it did not tell
}

// AskLive asks the live droplet what it knows of the site and how it is, both at
// the same time on one connection.
func (o *Operator) AskLive(ctx context.Context, w *World) (t Told, err error) {
	t.History, err = o.askLive(ctx, w, func(ctx context.Context, m *droplets.Machine) {
		if s, err := m.Status(ctx); err == nil {
			t.Status = &s
		}
	})
	return t, err
}

// OlderThan tells whether the live droplet was created at least so long ago.
func (w *World) OlderThan(age time.Duration) bool {
	return w.Live != nil && w.Now.Sub(w.Live.Created) >= age
}
