package sandbox

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The published limits of a token, and two routes with limits of their own.
const (
	perHour       = 5000
	perMinute     = 250
	keysPerMinute = 10 // GET /v2/account/keys
	ipsPerMinute  = 12 // POST /v2/reserved_ips, as seen by users
)

// limiter counts calls in sliding windows: each call has its own hour.
type limiter struct {
	mu    sync.Mutex
	calls map[string]*window
}

// A window is the times of calls, oldest first.
type window []time.Time

// within drops what is older than a span and counts the rest.
func (w *window) within(now time.Time, span time.Duration) int {
	n := 0
	for n < len(*w) && now.Sub((*w)[n]) >= span {
		n++
	}
	*w = (*w)[n:]
	return len(*w)
}

// recent counts the calls of the last minute without dropping others, and
// says when the oldest of them stops to count.
func (w window) recent(now time.Time) (n int, until time.Time) {
	for i := len(w) - 1; i >= 0 && now.Sub(w[i]) < time.Minute; i-- {
		n++
		until = w[i].Add(time.Minute)
	}
	return n, until
}

// take counts a call, sets the rate limit headers and says whether the call
// may go on. Only the bursts' 429 carries retry-after.
func (l *limiter) take(h http.Header, token string, r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	w := l.window(token)
	left := perHour - w.within(now, time.Hour)
	burst, until := w.recent(now)
	special, max := l.special(token, r)
	own, ownUntil := special.recent(now)
	switch {
	case left <= 0:
		l.headers(h, w, now, 0)
		return false
	case burst >= perMinute:
		return l.refuse(h, w, now, until)
	case max > 0 && own >= max:
		return l.refuse(h, w, now, ownUntil)
	}
	*w = append(*w, now)
	if max > 0 {
		special.within(now, time.Minute)
		*special = append(*special, now)
	}
	l.headers(h, w, now, min(left, perMinute-burst)-1)
	return true
}

func (l *limiter) refuse(h http.Header, w *window, now, until time.Time) bool {
	l.headers(h, w, now, 0)
	// Rounded up: who waits as long as it says is let in.
	seconds := (until.Sub(now) + time.Second - 1) / time.Second
	h.Set("Retry-After", strconv.Itoa(int(seconds)))
	return false
}

func (l *limiter) headers(h http.Header, w *window, now time.Time, left int) {
	reset := now.Add(time.Hour)
	if len(*w) > 0 {
		reset = (*w)[0].Add(time.Hour)
	}
	h.Set("Ratelimit-Limit", strconv.Itoa(perHour))
	h.Set("Ratelimit-Remaining", strconv.Itoa(left))
	h.Set("Ratelimit-Reset", strconv.FormatInt(reset.Unix(), 10))
}

// special is the window of a route that has a limit of its own, which is 0
// for all others.
func (l *limiter) special(token string, r *http.Request) (*window, int) {
	switch r.Method + " " + r.URL.Path {
	case "GET /v2/account/keys":
		return l.window(token + " keys"), keysPerMinute
	case "POST /v2/reserved_ips":
		return l.window(token + " reserved_ips"), ipsPerMinute
	}
	return &window{}, 0
}

func (l *limiter) window(name string) *window {
	if l.calls == nil {
		l.calls = map[string]*window{}
	}
	if l.calls[name] == nil {
		l.calls[name] = &window{}
	}
	return l.calls[name]
}
