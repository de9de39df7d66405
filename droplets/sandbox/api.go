package sandbox

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// maxBody is the largest request that is read: ten droplets share one
// user-data of 64 KiB, so nothing real comes near it.
const maxBody = 4 << 20

// A call is one request that is being answered, with the cloud locked.
type call struct {
	*http.Request
	body  []byte
	now   time.Time
	fault Fault // zero without one
}

// decode reads the request's JSON.
func (q *call) decode(v any) error {
	if len(bytes.TrimSpace(q.body)) == 0 {
		return nil
	}
	return json.Unmarshal(q.body, v)
}

// base is the API's own address, as its client sees it, for links.
func (q *call) base() string {
	scheme := "http"
	if q.TLS != nil || q.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + q.Host
}

// ServeHTTP answers the API (/v2/…) and the control API (/_sandbox/…). It
// refuses what a browser sends for a page.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" {
		// Only browsers send it: some page wants to reach into loopback.
		write(w, failure(http.StatusForbidden, "forbidden", "The sandbox takes no requests of web pages."))
		return
	}
	if strings.HasPrefix(r.URL.Path, "/_sandbox/") {
		c.control(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		write(w, badRequest("the request could not be read"))
		return
	}
	n := c.record(r, body)
	fault := c.match(r, body)
	fault.strike(false)
	if sleep(r.Context(), c.opt.Latency.Call+fault.Delay) != nil {
		panic(http.ErrAbortHandler)
	}
	answer := c.answer(w.Header(), r, body, fault)
	fault.strike(true)
	c.recordStatus(n, answer.status)
	if fault.Reset {
		panic(http.ErrAbortHandler)
	}
	raw := encode(w.Header(), answer)
	// What a fault makes up is no answer of the API.
	if c.opt.Observe != nil && fault.Status == 0 {
		c.opt.Observe(r, body, answer.status, w.Header(), raw)
	}
	w.WriteHeader(answer.status)
	w.Write(raw)
}

// answer is the way of a call: who asks, how often, what fault waits for it,
// and at last what it does.
func (c *Cloud) answer(h http.Header, r *http.Request, body []byte, f Fault) reply {
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("X-Request-Id", c.requestID())
	token := bearer(r)
	if !c.allowed(token) {
		return unauthorized()
	}
	if !c.opt.Unlimited && !c.limiter.take(h, token, r) {
		return tooMany()
	}
	faulty := f.Status != 0 || f.Reset
	if faulty && !f.After {
		return f.reply(h)
	}
	answer := c.dispatch(r, body, f)
	if faulty {
		return f.reply(h)
	}
	return answer
}

func (c *Cloud) allowed(token string) bool {
	if _, limited := c.opt.Tokens[token]; limited {
		return true
	}
	if c.opt.Token == "" {
		return token != ""
	}
	return subtle.ConstantTimeCompare([]byte(token), []byte(c.opt.Token)) == 1
}

// dispatch runs the handler of a route with the cloud locked.
func (c *Cloud) dispatch(r *http.Request, body []byte, f Fault) reply {
	q := &call{body: body, fault: f}
	out := c.unknownRoute(r)
	if trimmed, cut := strings.CutSuffix(r.URL.Path, "/"); cut && trimmed != "" {
		// The API takes paths with a slash at the end, and some clients send them.
		r = r.Clone(r.Context())
		r.URL.Path = trimmed
	}
	// The handler that the mux picks sees a request with path values; it takes
	// q out of the context, because a mux only knows http.Handler.
	ctx := context.WithValue(r.Context(), callKey{}, &dispatched{q, &out})
	c.mux.ServeHTTP(discard{}, r.WithContext(ctx))
	return out
}

// unknownRoute is the API's own form of saying no, and names the sandbox: the
// API may well have what is asked for.
func (c *Cloud) unknownRoute(r *http.Request) reply {
	return failure(http.StatusNotFound, "not_found", "The sandbox has no route "+r.Method+" "+r.URL.Path+".")
}

type callKey struct{}

type dispatched struct {
	q   *call
	out *reply
}

// discard takes what the mux writes by itself: redirects of unclean paths.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// handle makes a handler of the API an http.Handler for the mux.
func (c *Cloud) handle(f func(*call) reply) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		d := r.Context().Value(callKey{}).(*dispatched)
		d.q.Request = r
		if !c.may(d.q) {
			*d.out = forbidden()
			return
		}
		d.q.now = c.lock()
		defer c.mu.Unlock()
		*d.out = f(d.q)
		if err := c.save(); err != nil {
			*d.out = failure(http.StatusInternalServerError, "server_error", "The sandbox cannot save its state: "+err.Error())
		}
	}
}

func write(w http.ResponseWriter, a reply) {
	raw := encode(w.Header(), a)
	w.WriteHeader(a.status)
	w.Write(raw)
}

// encode is the body of an answer, and sets the headers that it has.
func encode(h http.Header, a reply) []byte {
	if a.body == nil {
		return nil
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	if raw, ok := a.body.(rawBody); ok {
		return raw
	}
	raw, err := json.Marshal(a.body)
	if err != nil {
		panic(err) // what handlers answer always marshals
	}
	return append(raw, '\n')
}

// rawBody is written as it is.
type rawBody []byte

// sleep waits without holding anything.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// memoryTransport calls the handler where a network would be.
type memoryTransport struct{ c *Cloud }

func (t memoryTransport) RoundTrip(r *http.Request) (res *http.Response, err error) {
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	w := &memoryResponse{header: http.Header{}, status: http.StatusOK}
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p != http.ErrAbortHandler:
			panic(p)
		case r.Context().Err() != nil:
			err = r.Context().Err()
		default:
			err = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		}
	}()
	t.c.ServeHTTP(w, in)
	return w.response(r), nil
}

type memoryResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryResponse) Header() http.Header         { return w.header }
func (w *memoryResponse) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *memoryResponse) WriteHeader(status int)      { w.status = status }

func (w *memoryResponse) response(r *http.Request) *http.Response {
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.header,
		Body:          io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}
}
