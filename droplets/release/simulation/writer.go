package simulation

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A writer is a visitor who changes something all the time: he posts numbered
// rows through the reserved IP, one after the other, each until it is
// acknowledged, and remembers which were.
type writer struct {
	b    *Bench
	wire *wire
	http *http.Client
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	paused  bool
	changed chan struct{} // closed and replaced when paused or acked changes
	acked   []ackedRow
	address string
}

// An ackedRow was acknowledged to the writer.
type ackedRow struct {
	row          string
	began, acked time.Time // the first try, and the answer
}

const (
	writesEvery = 500 * time.Millisecond
	// givesUp is how long a row is tried for; the next one is another.
	givesUp = 15 * time.Minute
	// manyRows are more than a release takes that nobody holds up.
	manyRows = 400
)

// startWriter lets somebody write from now on, where the site has state.
func (b *Bench) startWriter(name string) {
	if !b.Site.State {
		return
	}
	ctx, stop := context.WithCancel(b.T.Context())
	w := &writer{b: b, wire: b.actor("writer").wire, stop: stop, done: make(chan struct{}), changed: make(chan struct{})}
	w.http = &http.Client{Transport: &http.Transport{DialContext: w.wire.DialContext, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	b.writer = w
	go func() {
		defer close(w.done)
		for n := 1; ctx.Err() == nil; n++ {
			w.post(ctx, fmt.Sprintf("%s-%d", name, n))
		}
	}()
}

// end waits for the row under way, and has no more follow.
func (w *writer) end() {
	if w == nil {
		return
	}
	w.stop()
	<-w.done
	w.wire.cut() // a connection that nobody waits for any more is still being made
}

// pause has him rest, or go on.
func (w *writer) pause(rest bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = rest
	w.wake()
}

func (w *writer) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// idle is a long sleep of everybody's.
func (b *Bench) idle(d time.Duration) {
	b.writer.pause(true)
	time.Sleep(d)
	b.writer.pause(false)
}

// resting waits while he is to rest.
func (w *writer) resting(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		paused, changed := w.paused, w.changed
		w.mu.Unlock()
		if !paused {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// every is how long he waits before a row: of what goes on for very long, he
// sees less.
func (w *writer) every() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.acked) > manyRows {
		return 10 * writesEvery
	}
	return writesEvery
}

// post tries a row until it is acknowledged.
func (w *writer) post(ctx context.Context, row string) {
	began, waits := time.Now(), ""
	for ctx.Err() == nil && time.Since(began) < givesUp {
		w.resting(ctx)
		w.wire.wait(ctx, w.wire.span("row", w.every()))
		answer := w.try(ctx, row)
		if answer == "" {
			w.note(row, began)
			if waits != "" {
				w.b.mark("writer", "%s was taken after %s", row, time.Since(began).Round(time.Millisecond))
			}
			return
		}
		if answer != waits && ctx.Err() == nil {
			w.b.mark("writer", "%s waits: %s", row, answer)
			waits = answer
		}
	}
}

func (w *writer) note(row string, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, ackedRow{row, began, time.Now()})
	w.wake()
}

// try posts a row once; "" is an acknowledgement.
func (w *writer) try(ctx context.Context, row string) string {
	if w.address == "" {
		for _, ip := range w.b.addresses(w.b.Cloud.Snapshot()) {
			w.address = ip.IP
		}
	}
	if w.address == "" {
		return "there is no address"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.address+"/rows", strings.NewReader(row))
	if err != nil {
		return err.Error()
	}
	req.Host = w.b.Site.Domains[0]
	resp, err := w.http.Do(req)
	if err != nil {
		w.address = "" // it may have been given back
		return "no answer"
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusCreated, http.StatusOK:
		return ""
	}
	return resp.Status
}

// comesBack waits until a row is acknowledged whose first try is not before
// now; it says whether that came to be in time.
func (w *writer) comesBack(within time.Duration) bool {
	began := time.Now()
	for {
		w.mu.Lock()
		last, changed := w.last(), w.changed
		w.mu.Unlock()
		if last.After(began) {
			return true
		}
		left := within - time.Since(began)
		if left <= 0 {
			return false
		}
		select {
		case <-changed:
		case <-time.After(left):
		}
	}
}

func (w *writer) last() time.Time {
	if len(w.acked) == 0 {
		return time.Time{}
	}
	return w.acked[len(w.acked)-1].acked
}

// rows are those that were acknowledged, in that order.
func (w *writer) rows() []ackedRow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acked)
}
