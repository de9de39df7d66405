package sandbox

import (
	"bytes"
	"net/http"
	"path"
	"strconv"
	"time"
)

// A Fault makes calls of a route go wrong, or verbs that are asked for over
// SSH. Which calls: Method, Path, Body, Agent, Nth and Count; how: the rest.
// With nothing said about how, calls are only counted.
type Fault struct {
	Method string `json:"method,omitempty"` // empty: any; SSH: of a stub machine's verbs, whose paths are /status and so on
	// Path is a pattern of path.Match, such as /v2/droplets/*/actions; empty: any.
	Path string `json:"path,omitempty"`
	// Body is text that the request's body must hold, such as `"assign"`.
	Body string `json:"contains,omitempty"`
	// Agent is the User-Agent of whom it hits, empty: anybody. Verbs have none.
	Agent string `json:"agent,omitempty"`
	// Nth is the first matching call that is hit, by default the 1st; Count is
	// how many are, by default 1, and all from there on when negative.
	Nth   int `json:"nth,omitempty"`
	Count int `json:"count,omitempty"`

	// Status answers with this status instead, and with Answer when it is not
	// empty; Header is added. Of a verb it is the exit status, and an Answer
	// alone is what it prints before it ends well.
	Status int               `json:"status,omitempty"`
	Answer string            `json:"answer,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	// Reset cuts the connection instead of answering.
	Reset bool `json:"reset,omitempty"`
	// After lets the call have its effect before Status or Reset; otherwise
	// it has none.
	After bool `json:"after,omitempty"`
	// Delay makes the call wait first; a verb with After has its effect, prints
	// the first half of its answer and waits then.
	Delay time.Duration `json:"delay,omitempty"`
	// Strike is called when the fault hits: before the effect, or after it with After.
	Strike func() `json:"-"`
	// Action is what becomes of the action that the call starts.
	Action Outcome `json:"action,omitempty"`
	// Stale answers a read as it was this long ago: lists and gets do not know
	// droplets that are newer, and reserved IPs are where they were.
	Stale time.Duration `json:"stale,omitempty"`
}

// An Outcome is how an action ends when it does not end well.
type Outcome string

const (
	Errored Outcome = "errored" // ends with the status errored, without effect
	NoOp    Outcome = "no-op"   // ends with the status completed, without effect
	Stuck   Outcome = "stuck"   // stays in progress
	// Lost takes effect, but the action cannot be found (404).
	Lost Outcome = "lost"
)

// PendingEvent is the 422 that a droplet answers while something else is
// going on with it; it is for any POST of an action.
func PendingEvent(count int) Fault {
	return Fault{Method: http.MethodPost, Path: "/v2/*/*/actions", Count: count, Status: http.StatusUnprocessableEntity,
		Answer: `{"id":"unprocessable_entity","message":"` + pendingEvent + `"}`}
}

// TooManyRequests is a 429; retryAfter zero leaves its header out, as the
// hourly limit does.
func TooManyRequests(method, pattern string, retryAfter time.Duration) Fault {
	f := Fault{Method: method, Path: pattern, Status: http.StatusTooManyRequests,
		Answer: `{"id":"too_many_requests","message":"API Rate limit exceeded."}`}
	if retryAfter > 0 {
		f.Header = map[string]string{"Retry-After": strconv.Itoa(int(retryAfter / time.Second))}
	}
	return f
}

// armedFault counts the calls that it matched.
type armedFault struct {
	Fault
	seen int
}

// Fault arms a fault. Of several that hit one call the first armed wins.
func (c *Cloud) Fault(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &armedFault{Fault: f})
}

// ClearFaults takes every fault back.
func (c *Cloud) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// match counts a call with every fault and returns the one that hits it.
func (c *Cloud) match(r *http.Request, body []byte) (hit Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for _, a := range c.faults {
		if a.hits(r, body) && !found {
			hit, found = a.Fault, true
		}
	}
	return hit
}

func (a *armedFault) hits(r *http.Request, body []byte) bool {
	if a.Method != "" && a.Method != r.Method || !bytes.Contains(body, []byte(a.Body)) {
		return false
	}
	if r.Method == verbMethod && a.Method != verbMethod || a.Agent != "" && a.Agent != r.UserAgent() {
		return false
	}
	if ok, _ := path.Match(a.Path, r.URL.Path); !ok && a.Path != "" {
		return false
	}
	a.seen++
	first, count := max(a.Nth, 1), a.Count
	if count == 0 {
		count = 1
	}
	return a.seen >= first && (count < 0 || a.seen < first+count)
}

// strike calls Strike at its moment.
func (f Fault) strike(after bool) {
	if f.Strike != nil && f.After == after {
		f.Strike()
	}
}

// reply is what a fault answers.
func (f Fault) reply(h http.Header) reply {
	for k, v := range f.Header {
		h.Set(k, v)
	}
	switch {
	case f.Answer != "":
		return reply{f.Status, rawBody(f.Answer)}
	case f.Status == http.StatusTooManyRequests:
		return tooMany()
	case f.Status == http.StatusNotFound:
		return notFound()
	case f.Status == http.StatusNoContent:
		return noContent()
	case f.Status >= 500:
		return failure(f.Status, "server_error", "Unexpected server-side error")
	}
	return failure(f.Status, "fault", http.StatusText(f.Status))
}
