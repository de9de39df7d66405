package droplets

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Retries of one request: 0.5 s, 1 s, 2 s, 4 s between five tries. A burst 429
// of DigitalOcean's asks for its own pause in retry-after (seconds).
const (
	maxTries   = 5
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
)

// retrying adds the token and repeats what is safe to repeat: reads and
// deletes after any failure, everything after a 429 (which was not carried
// out). A POST that failed otherwise is never sent twice: godo's own retries
// would make a second droplet.
type retrying struct {
	token string
	base  http.RoundTripper
	clock clock
}

func (t *retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+t.token)
	pause := firstPause
	for try := 1; ; try++ {
		resp, err := t.base.RoundTrip(req)
		if err == nil {
			t.clock.hear(resp)
		}
		wait, again := retryAfter(req, resp, err, pause)
		unrepeatable := req.Body != nil && req.GetBody == nil
		if !again || unrepeatable || try == maxTries || req.Context().Err() != nil {
			return resp, err
		}
		if resp != nil {
			drain(resp)
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		pause *= 2
	}
}

// retryAfter decides whether to send the request again, and when.
func retryAfter(req *http.Request, resp *http.Response, err error, pause time.Duration) (time.Duration, bool) {
	repeatable := req.Method == http.MethodGet || req.Method == http.MethodHead || req.Method == http.MethodDelete
	switch {
	case err != nil:
		return pause, repeatable
	case resp.StatusCode == http.StatusTooManyRequests:
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
			return min(time.Duration(s)*time.Second, maxPause), true
		}
		return pause, true
	case resp.StatusCode >= 500:
		return pause, repeatable
	}
	return 0, false
}

// Bounds of one answer, after its compression was undone. A page of 200
// droplets has about 1 MiB and 3000 objects; an empty object takes 2 bytes on
// the way and some hundred in memory, so both are counted.
const (
	maxAnswer  = 8 << 20 // bytes
	maxObjects = 100_000
)

var errTooLarge = errors.New("the API's answer is too large")

// bounded ends answers that have no end.
type bounded struct{ base http.RoundTripper }

func (t *bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer, maxObjects}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	bytes, objects int // left
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes -= n
	b.objects -= bytes.Count(p[:n], []byte{'{'})
	if b.bytes < 0 || b.objects < 0 {
		return 0, errTooLarge
	}
	return n, err
}

func drain(resp *http.Response) {
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
