// Package measure finds out on an account what no document tells: how long
// droplets and moves of a reserved IP take, what a move does to requests, to
// open connections and to the addresses of clients, and how the API refuses.
//
// It makes two droplets and a reserved IP of its own and ends them again,
// whatever happens.
package measure

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// Tag is on every droplet that a measurement makes, and on nothing else.
const Tag = "cattle:measure"

// Bounds of waits, far beyond what was ever reported.
const (
	bootWithin   = 10 * time.Minute
	moveWithin   = 2 * time.Minute
	cleanWithin  = 5 * time.Minute
	probeEvery   = 100 * time.Millisecond
	probeBefore  = 2 * time.Second // and after the move: the quiet that it is held against
	lookEvery    = 500 * time.Millisecond
	seenInARow   = 10
	dialTimeout  = 2 * time.Second
	stillHandled = 3 * time.Second // of the open connection, for its answer
)

// Options say what to measure, and where.
type Options struct {
	Cloud               droplets.Cloud
	Dialer              droplets.Dialer
	Region, Size, Image string
	Say                 func(string) // progress, a line at a time
}

// A Report is what was measured. Durations are in seconds, 0 where it was not
// reached. Nothing in it names an address, a droplet or an account.
type Report struct {
	Region   string    `json:"region"`
	Size     string    `json:"size"`
	Image    string    `json:"image"`
	Droplets []Droplet `json:"droplets"`
	Move     Move      `json:"move"`
	// Refusals are the API's texts, by what was asked.
	Refusals map[string]string `json:"refusals"`
}

// Droplet is one droplet's life, from the POST on.
type Droplet struct {
	Active    float64 `json:"active_s"`    // the API says so, and has an address
	SSH       float64 `json:"ssh_s"`       // sshd greets
	CloudInit float64 `json:"cloudinit_s"` // what cloud-init starts last answers
	Gone      float64 `json:"gone_s"`      // from the DELETE to a 404
}

// Move is that of the reserved IP from the first droplet to the second, from
// the POST on, under requests at a fixed rate on fresh connections.
type Move struct {
	Reserve   float64 `json:"reserve_s"`     // making the address, until it answers
	Accepted  float64 `json:"accepted_s"`    // the API's answer to the assign
	Done      float64 `json:"done_s"`        // the API says that it is there
	Seen      float64 `json:"seen_s"`        // only the new droplet answers, ten times in a row
	Requests  int     `json:"requests"`      // from before the move until after it
	Failed    int     `json:"failed"`        // of these
	Gap       float64 `json:"longest_gap_s"` // from one answer to the next
	Slowest   float64 `json:"slowest_s"`
	Open      string  `json:"open_connection"` // what became of one that was open
	Addresses string  `json:"client_addresses"`
}

// Leftover is something that could not be ended, with the command that ends it.
type Leftover struct{ What, Command string }

// Leftovers is the failure to clean up.
type Leftovers struct {
	Left []Leftover
	Err  error
}

func (e *Leftovers) Error() string {
	return fmt.Sprintf("%d things of the measurement are left over, and bill: %v", len(e.Left), e.Err)
}

func (e *Leftovers) Unwrap() error { return e.Err }

// run is one measurement.
type run struct {
	Options
	id     string
	report *Report
	keys   []int // all of the account's: without one the API mails a password
	made   []made
	ip     string
}

type made struct {
	droplets.Droplet
	id string // that it answers with
	at time.Time
}

// Measure measures. The report has what was reached before an error; the
// clean-up does not end with ctx.
func Measure(ctx context.Context, o Options) (*Report, error) {
	var b [4]byte
	rand.Read(b[:])
	r := &run{Options: o, id: fmt.Sprintf("%x", b), report: &Report{Region: o.Region, Size: o.Size, Image: o.Image, Refusals: map[string]string{}}}
	old, err := o.Cloud.Droplets(ctx, Tag)
	if err != nil {
		return nil, err
	}
	if len(old) > 0 {
		left := &Leftovers{Err: errors.New("an earlier one did not end, or runs yet")}
		for _, d := range old {
			left.Left = append(left.Left, Leftover{"droplet " + d.Name, fmt.Sprint("doctl compute droplet delete ", d.ID)})
		}
		return nil, left
	}
	err = r.measure(ctx)
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
	defer cancel()
	return r.report, errors.Join(err, r.clean(cleaning))
}

func (r *run) measure(ctx context.Context) error {
	for _, step := range []func(context.Context) error{r.first, r.reserve, r.second, r.move} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) first(ctx context.Context) error {
	keys, err := r.Cloud.SSHKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		r.keys = append(r.keys, k.ID)
	}
	if err := r.create(ctx); err != nil {
		return err
	}
	return r.boot(ctx, 0)
}

// second asks for the address too early, which the API has a word for. Where
// it does not mind, the address goes back.
func (r *run) second(ctx context.Context) error {
	const early = "assign to a droplet that is new"
	if err := r.create(ctx); err != nil {
		return err
	}
	if err := r.Cloud.Assign(ctx, r.ip, r.made[1].ID); err != nil {
		r.refused(early, err)
		return r.boot(ctx, 1)
	}
	r.report.Refusals[early] = "accepted"
	if err := r.boot(ctx, 1); err != nil {
		return err
	}
	if err := r.settled(ctx, 1); err != nil {
		return err
	}
	if err := r.Cloud.Assign(ctx, r.ip, r.made[0].ID); err != nil {
		return err
	}
	return r.settled(ctx, 0)
}

func (r *run) refused(what string, err error) {
	var api *droplets.APIError
	if errors.As(err, &api) {
		r.report.Refusals[what] = fmt.Sprintf("%d %s", api.Status, api.Message)
		return
	}
	r.report.Refusals[what] = "no answer"
}

// create orders a droplet. One whose order had no answer is found by its tag
// when it is cleaned up.
func (r *run) create(ctx context.Context) error {
	id := fmt.Sprintf("%s%d", r.id, len(r.made)+1)
	data, err := userData(id)
	if err != nil {
		return err
	}
	spec := droplets.Spec{Name: "cattle-measure-" + id, Region: r.Region, Size: r.Size, Image: r.Image, Tags: []string{Tag}, SSHKeys: r.keys, UserData: data}
	r.Say("create " + spec.Name)
	at := time.Now()
	d, err := r.Cloud.Create(ctx, spec)
	if err != nil {
		return err
	}
	r.made = append(r.made, made{d, id, at})
	r.report.Droplets = append(r.report.Droplets, Droplet{})
	return nil
}

// boot times a droplet from its order to the end of cloud-init.
func (r *run) boot(ctx context.Context, n int) error {
	d, out := &r.made[n], &r.report.Droplets[n]
	err := droplets.Wait(ctx, "an active droplet", bootWithin, droplets.Every(2*lookEvery), func(ctx context.Context) (bool, error) {
		got, err := r.Cloud.Droplet(ctx, d.ID)
		if err == nil {
			d.Droplet = got
		}
		return err == nil && got.Status == "active" && got.Address(r.ip) != "", err
	})
	if err != nil {
		return err
	}
	out.Active = since(d.at)
	for _, look := range []struct {
		what string
		into *float64
		done func(context.Context) error
	}{
		{"a greeting of sshd", &out.SSH, func(ctx context.Context) error { return r.greeted(ctx, d.Address(r.ip)) }},
		{"the end of cloud-init", &out.CloudInit, func(ctx context.Context) error { return r.answers(ctx, d.Address(r.ip), d.id) }},
	} {
		err := droplets.Wait(ctx, look.what, bootWithin, droplets.Every(lookEvery), func(ctx context.Context) (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			err := look.done(ctx)
			return err == nil, err
		})
		if err != nil {
			return err
		}
		*look.into = since(d.at)
	}
	r.Say(fmt.Sprintf("active after %.1f s, sshd after %.1f s, cloud-init ended after %.1f s", out.Active, out.SSH, out.CloudInit))
	return nil
}

func (r *run) door(address string) probe.Door {
	return probe.Door{Dial: r.Dialer.DialContext, Address: address, Host: "measure.invalid"}
}

// answers wants the droplet's own word.
func (r *run) answers(ctx context.Context, address, id string) error {
	d := r.door(address)
	got, err := d.Identity(ctx, d.Client())
	if err == nil && got != id {
		err = errors.New("another droplet answers")
	}
	return err
}

// greeted wants sshd's first words.
func (r *run) greeted(ctx context.Context, address string) error {
	conn, err := r.Dialer.DialContext(ctx, "tcp", address+":22")
	if err != nil {
		return err
	}
	defer conn.Close()
	if at, ok := ctx.Deadline(); ok {
		conn.SetReadDeadline(at)
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func since(at time.Time) float64 { return time.Since(at).Seconds() }
