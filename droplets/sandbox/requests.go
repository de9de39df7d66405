package sandbox

import (
	"fmt"
	"net/http"
	"time"
)

// A Request is one call of the API, as it came.
type Request struct {
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query,omitempty"`
	Status int       `json:"status"` // 0 while it is being answered
	At     time.Time `json:"at"`     // when it came in
	Body   string    `json:"body,omitempty"`
	Agent  string    `json:"agent,omitempty"` // User-Agent
}

// maxRequests bounds the log of a sandbox that runs for weeks; the oldest go.
const maxRequests = 20000

// Requests are the calls of the API since the start or the last
// ResetRequests, in the order in which they came.
func (c *Cloud) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Request, 0, len(c.requests))
	for _, r := range c.requests {
		list = append(list, *r)
	}
	return list
}

// ResetRequests empties the log of calls.
func (c *Cloud) ResetRequests() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = nil
}

// Reset empties the log of calls and takes every fault back.
func (c *Cloud) Reset() {
	c.ResetRequests()
	c.ClearFaults()
}

// record notes a call; its status comes later.
func (c *Cloud) record(r *http.Request, body []byte) *Request {
	n := &Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, At: time.Now(), Body: string(body), Agent: r.UserAgent()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) >= maxRequests {
		c.requests = c.requests[maxRequests/10:]
	}
	c.requests = append(c.requests, n)
	return n
}

func (c *Cloud) recordStatus(n *Request, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.Status = status
}

// requestID is the same in every run that makes the same requests.
func (c *Cloud) requestID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered++
	return fmt.Sprintf("00000000-0000-4000-8000-%012x", c.answered)
}

// uuid is an id of the other kind, the same in every run too.
func (s *state) uuid() string { return fmt.Sprintf("00000000-0000-4000-9000-%012x", s.id()) }
