package droplets_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets"
)

// answers is a RoundTripper that gives one status after another; 0 is a
// connection that broke.
type answers struct {
	statuses []int
	header   http.Header
	got      []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.got = append(a.got, r.Method+" "+r.Header.Get("Authorization"))
	status := a.statuses[min(len(a.got), len(a.statuses))-1]
	if status == 0 {
		return nil, errors.New("connection reset")
	}
	body := http.NoBody
	resp := &http.Response{StatusCode: status, Header: a.header.Clone(), Body: body, Request: r}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	return resp, nil
}

// TestWhatIsRepeated: reads and deletes after any failure, a POST after a 429 alone.
func TestWhatIsRepeated(t *testing.T) {
	get := func(ctx context.Context, c droplets.Cloud) error { _, err := c.Account(ctx); return err }
	post := func(ctx context.Context, c droplets.Cloud) error {
		_, err := c.Create(ctx, droplets.Spec{Name: "x"})
		return err
	}
	del := func(ctx context.Context, c droplets.Cloud) error { return c.Destroy(ctx, 7) }
	tests := []struct {
		name     string
		do       func(context.Context, droplets.Cloud) error
		statuses []int
		header   http.Header
		requests int
		after    time.Duration
		status   int
	}{
		{"GET after 500", get, []int{500, 200}, nil, 2, 500 * time.Millisecond, 0},
		{"GET after a broken connection", get, []int{0, 0, 200}, nil, 3, 1500 * time.Millisecond, 0},
		{"GET gives up", get, []int{503}, nil, 5, 7500 * time.Millisecond, 503},
		{"GET is not repeated on 404", get, []int{404}, nil, 1, 0, 404},
		{"POST is not repeated on 502", post, []int{502}, nil, 1, 0, 502},
		{"POST is not repeated on a broken connection", post, []int{0}, nil, 1, 0, 0},
		{"POST after 429", post, []int{429, 422}, http.Header{"Retry-After": {"3"}}, 2, 3 * time.Second, 422},
		{"429 without retry-after", post, []int{429, 422}, nil, 2, 500 * time.Millisecond, 422},
		{"an absurd retry-after is bounded", get, []int{429, 404}, http.Header{"Retry-After": {"86400"}}, 2, time.Minute, 404},
		{"DELETE after 500", del, []int{500, 204}, nil, 2, 500 * time.Millisecond, 0},
		{"DELETE of what is gone", del, []int{404}, nil, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{statuses: tt.statuses, header: tt.header}
				c, err := droplets.Open(droplets.Config{Token: "secret-token", HTTP: &http.Client{Transport: a}})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				err = tt.do(t.Context(), c)
				if len(a.got) != tt.requests || time.Since(start) != tt.after {
					t.Errorf("%d requests in %s, want %d in %s", len(a.got), time.Since(start), tt.requests, tt.after)
				}
				if droplets.StatusOf(err) != tt.status {
					t.Errorf("got %v, want status %d", err, tt.status)
				}
				if err != nil && strings.Contains(err.Error(), "secret-token") {
					t.Errorf("the token is in the error: %v", err)
				}
				if a.got[0] != strings.Fields(a.got[0])[0]+" Bearer secret-token" {
					t.Errorf("sent %q", a.got[0])
				}
			})
		})
	}
}
