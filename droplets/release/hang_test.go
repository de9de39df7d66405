package release_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
)

// hanging is a network in which connections to port 22 of some droplets stop
// carrying anything, without an end.
type hanging struct {
	droplets.Dialer
	mute func(address string) bool
}

func (h hanging) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.Dialer.DialContext(ctx, network, address)
	if err != nil || !strings.HasSuffix(address, ":22") {
		return c, err
	}
	return &mutable{Conn: c, mute: func() bool { return h.mute(address) }, done: make(chan struct{})}, nil
}

type mutable struct {
	net.Conn
	mute func() bool
	once sync.Once
	done chan struct{}
}

func (m *mutable) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.mute() {
		<-m.done
		return 0, net.ErrClosed
	}
	return n, err
}

func (m *mutable) Write(p []byte) (int, error) {
	if m.mute() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

func (m *mutable) Close() error {
	m.once.Do(func() { close(m.done) })
	return m.Conn.Close()
}

// TestSSHHangs: a droplet that stops answering in the middle, at any step,
// holds nobody up for longer than the step's own limit.
func TestSSHHangs(t *testing.T) {
	booting := nasty
	booting.Boot, booting.Step = 5*time.Second, time.Second
	for step, after := range map[string]time.Duration{"reach": 0, "boot": 7 * time.Second, "handoff": 0, "gate": 0} {
		t.Run(step, func(t *testing.T) {
			simulation.Simulate(t, booting, func(b *simulation.Bench) {
				b.Must("v1")
				b.Must("v2")
				var mute atomic.Bool
				b.Op.Dialer = hanging{b.Op.Dialer, func(string) bool { return mute.Load() }}
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					if e.Step == step && e.State == release.StateRunning {
						time.AfterFunc(max(after, 1), func() { mute.Store(true) })
						time.Sleep(2 * time.Nanosecond)
					}
				}
				start := time.Now()
				verb := b.Release
				if step == "reach" {
					verb = func(ctx context.Context, _ string) (*release.Report, error) { return b.Rollback(ctx, "") }
				}
				_, err := verb(b.T.Context(), "v3")
				var refused *release.Refused
				if !errors.As(err, &refused) || refused.Serving != "v2" {
					t.Errorf("got %v\n%s", err, b.History())
				}
				if took := time.Since(start); took > 12*time.Minute {
					t.Errorf("took %s", took)
				}
				b.Expect("v2", "v1", "v2")
			})
		})
	}
}

// TestVerbEndsWithItsContext: a droplet that takes a verb and says no more.
func TestVerbEndsWithItsContext(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		var mute atomic.Bool
		dialer := hanging{b.Op.Dialer, func(string) bool { return mute.Load() }}
		m, err := droplets.Connect(b.T.Context(), dialer, b.Op.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		mute.Store(true)
		ctx, cancel := context.WithTimeout(b.T.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err = m.Certificates(ctx)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 6*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

// TestLeavingAHangingDroplet: the live droplet hangs; a rollback goes on
// without its certificates.
func TestLeavingAHangingDroplet(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		live := b.Holder().IP
		var mute atomic.Bool
		b.Op.Dialer = hanging{b.Op.Dialer, func(address string) bool { return mute.Load() && strings.HasPrefix(address, live+":") }}
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			mute.Store(mute.Load() || e.Step == "handoff")
		}
		start := time.Now()
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Errorf("%v\n%s", err, b.History())
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("took %s", took)
		}
		b.Expect("v1", "v1", "v2")
	})
}

// TestCertificateFails: what comes after it is done all the same.
func TestCertificateFails(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		ip := b.Cloud.Snapshot().ReservedIPs[0].IP
		var mute atomic.Bool
		b.Op.Dialer = hanging{b.Op.Dialer, func(string) bool { return mute.Load() }}
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			// The names are there when the confirm is over, and SSH is not.
			if e.Step == "certificate" && !mute.Swap(true) {
				b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
			}
		}
		_, err := b.Release(b.T.Context(), "v3")
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || incomplete.Leftovers[0].What != "certificate" {
			t.Errorf("got %v\n%s", err, b.History())
		}
		time.Sleep(20 * time.Second)
		if got := b.Running(); !slices.Equal(got, []string{"v2", "v3"}) {
			t.Errorf("running %v", got)
		}
	})
}
