package measure

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// reserve makes the address, at the first droplet, and waits until that answers.
func (r *run) reserve(ctx context.Context) error {
	r.Say("make a reserved IP")
	at := time.Now()
	err := droplets.Wait(ctx, "a reserved IP", moveWithin, droplets.Every(4*lookEvery), func(ctx context.Context) (bool, error) {
		ip, err := r.Cloud.ReserveIP(ctx, r.made[0].ID)
		if droplets.Busy(err) {
			r.refused("reserve for a droplet that is active", err)
			return false, err
		}
		r.ip = ip.IP
		return true, err
	})
	if err != nil {
		return err
	}
	if err := r.settled(ctx, 0); err != nil {
		return err
	}
	err = r.until(ctx, "an answer at the reserved IP", func(ctx context.Context) error { return r.answers(ctx, r.ip, r.made[0].id) })
	r.report.Move.Reserve = since(at)
	return err
}

// settled waits until the API has the address at a droplet, with nothing under way.
func (r *run) settled(ctx context.Context, n int) error {
	return droplets.Wait(ctx, "the reserved IP at its droplet", moveWithin, droplets.Every(lookEvery), func(ctx context.Context) (bool, error) {
		ip, err := r.Cloud.ReservedIP(ctx, r.ip)
		return err == nil && ip.DropletID == r.made[n].ID && !ip.Locked, err
	})
}

func (r *run) until(ctx context.Context, what string, look func(context.Context) error) error {
	return droplets.Wait(ctx, what, moveWithin, droplets.Every(lookEvery), func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		err := look(ctx)
		return err == nil, err
	})
}

// move moves the address, asking all the while, with one connection open.
func (r *run) move(ctx context.Context) error {
	r.Say("move the reserved IP, asking ten times a second")
	m := &r.report.Move
	before := r.peer(ctx)
	open, err := r.Dialer.DialContext(ctx, "tcp", r.ip+":80")
	if err != nil {
		return err
	}
	defer open.Close()
	if _, err := r.askOn(open); err != nil {
		return fmt.Errorf("a connection that is to stay open: %w", err)
	}
	p := probe.Start(ctx, r.door(r.ip), probe.IdentityPath, probeEvery)
	defer p.Stop()
	for _, step := range []func(context.Context) error{quiet, func(ctx context.Context) error { return r.assign(ctx, p) }, quiet} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	p.Stop()
	s := p.Stats()
	m.Requests, m.Failed, m.Gap, m.Slowest = s.Requests, s.Failed, s.Gap.Seconds(), s.Slowest.Seconds()
	m.Open = r.fate(open)
	m.Addresses = addresses(before, r.peer(ctx))
	return nil
}

// quiet lets requests go on for a while without anything else happening.
func quiet(ctx context.Context) error {
	select {
	case <-time.After(probeBefore):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// assign moves the address and times how that is seen. The droplet may have
// something pending yet.
func (r *run) assign(ctx context.Context, p *probe.Prober) error {
	m := &r.report.Move
	var at time.Time
	err := droplets.Wait(ctx, "an accepted assign", moveWithin, droplets.Every(6*lookEvery), func(ctx context.Context) (bool, error) {
		at = time.Now()
		err := r.Cloud.Assign(ctx, r.ip, r.made[1].ID)
		if droplets.Busy(err) {
			r.refused("assign to a droplet that is active", err)
			return false, err
		}
		return true, err
	})
	if err != nil {
		return err
	}
	m.Accepted = since(at)
	seen := make(chan error, 1)
	bounded, cancel := context.WithTimeout(ctx, moveWithin)
	defer cancel()
	go func() {
		err := p.Sees(bounded, r.made[1].id, seenInARow)
		m.Seen = since(at) - (seenInARow * probeEvery).Seconds()
		seen <- err
	}()
	err = r.settled(ctx, 1)
	m.Done = since(at)
	if serr := <-seen; err == nil && serr != nil {
		err = fmt.Errorf("the second droplet at the reserved IP: %w", serr)
	}
	m.Seen = max(m.Seen, 0)
	return err
}

// askOn asks who answers, on an open connection, and leaves it open.
func (r *run) askOn(conn net.Conn) (string, error) {
	conn.SetDeadline(time.Now().Add(stillHandled))
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: measure.invalid\r\n\r\n", probe.IdentityPath); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	return strings.TrimSpace(string(body)), err
}

// fate is what became of the connection that was open through the move.
func (r *run) fate(open net.Conn) string {
	switch id, err := r.askOn(open); {
	case err != nil:
		return "cut: it is answered no more"
	case id == r.made[0].id:
		return "kept: the first droplet answers on it"
	default:
		return "kept: the second droplet answers on it"
	}
}

// peer is the address that the droplet at the reserved IP sees us with, the
// zero Addr where it does not tell.
func (r *run) peer(ctx context.Context) netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, stillHandled)
	defer cancel()
	d := r.door(r.ip)
	_, body, err := d.Get(ctx, d.Client(), "/")
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(strings.TrimSpace(body))
	return addr
}

func addresses(before, after netip.Addr) string {
	switch {
	case !before.IsValid() || !after.IsValid():
		return "not told by the droplets"
	case before.IsPrivate():
		return "replaced by a private one"
	case before == after:
		return "the same before and after the move, and public"
	}
	return "another after the move"
}
