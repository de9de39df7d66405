//go:build chaos && linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/proxy"

	"cattle/droplets/release/probe"
)

const (
	// visitEvery makes the load on each site: 25 requests a second, each a TLS
	// connection of its own through the reserved IP.
	visitEvery = 40 * time.Millisecond
	// visitWithin is a browser's patience: this may run on a computer that is
	// busy with something else for seconds.
	visitWithin = 30 * time.Second
)

// visitors ask a site at a fixed rate. Unlike a probe.Prober they know, of each
// request that failed, whether the wire had cut that very connection.
type visitors struct {
	door   probe.Door
	wire   *wire
	client *http.Client
	stop   context.CancelFunc
	done   chan struct{}

	mu                    sync.Mutex
	requests, failed, cut int
	gap                   time.Duration // longest between two answers, where no cut was between them
	last                  time.Time     // an answer; zero after a cut
	complaints            []string      // since they were last taken
}

// startVisitors begins at once; door's way in is the wire.
func startVisitors(ctx context.Context, w *wire, door probe.Door) *visitors {
	ctx, stop := context.WithCancel(ctx)
	v := &visitors{wire: w, door: door, stop: stop, done: make(chan struct{})}
	v.door.Dial = v.dial
	v.client = v.door.Client()
	go v.loop(ctx)
	return v
}

func (v *visitors) loop(ctx context.Context) {
	defer close(v.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(visitEvery)
	defer tick.Stop()
	for {
		wg.Go(func() { v.visit(ctx) })
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (v *visitors) leave() {
	v.stop()
	<-v.done
}

type visitKey struct{}

// A visit knows the connection that it went by.
type visit struct {
	from       atomic.Value // its address, a string
	turnedAway atomic.Bool  // the wire reset it before it was made
}

func (v *visitors) visit(ctx context.Context) {
	var one visit
	rctx, cancel := context.WithTimeout(context.WithValue(ctx, visitKey{}, &one), visitWithin)
	defer cancel()
	start := time.Now()
	status, body, err := v.door.Get(rctx, v.client, "/")
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	from, _ := one.from.Load().(string)
	cut := err != nil && (one.turnedAway.Load() || v.wire.wasCut(from))
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests++
	switch {
	case cut:
		v.cut++
		v.last = time.Time{}
	case err != nil || status != http.StatusOK:
		v.failed++
		v.complaints = append(v.complaints, fmt.Sprintf("a visitor of %s failed after %s: %d %q %v",
			start.Format(stampMilli), now.Sub(start).Round(time.Millisecond), status, strings.TrimSpace(body), err))
	default:
		if !v.last.IsZero() {
			v.gap = max(v.gap, now.Sub(v.last))
		}
		v.last = now
	}
}

// dial goes through the wire, and notes from where.
func (v *visitors) dial(ctx context.Context, network, address string) (net.Conn, error) {
	one := ctx.Value(visitKey{}).(*visit)
	socks, err := proxy.SOCKS5("tcp", v.wire.addr, nil, notingDialer{one})
	if err != nil {
		return nil, err
	}
	return socks.(proxy.ContextDialer).DialContext(ctx, network, address)
}

type notingDialer struct{ visit *visit }

func (d notingDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d notingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		d.visit.from.Store(c.LocalAddr().String())
	}
	// Nobody but the wire is at the other end of this connection.
	d.visit.turnedAway.Store(errors.Is(err, syscall.ECONNRESET))
	return c, err
}

// takeComplaints returns the failures since the last time.
func (v *visitors) takeComplaints() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.complaints
	v.complaints = nil
	return out
}
