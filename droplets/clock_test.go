package droplets_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets"
)

// dated answers as an API whose clock is ahead of this computer's.
type dated struct{ ahead time.Duration }

func (d *dated) RoundTrip(r *http.Request) (*http.Response, error) {
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("Date", time.Now().Add(d.ahead).UTC().Format(http.TimeFormat))
	return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(`{"account":{}}`)), Request: r}, nil
}

// TestClock: the cloud's time is the API's; seconds are not worth a difference.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &dated{}
		cloud, err := droplets.Open(droplets.Config{Token: "t", HTTP: &http.Client{Transport: api}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ ahead, want time.Duration }{
			{0, 0}, {2 * time.Second, 0}, {-2 * time.Second, 0},
			{time.Hour, time.Hour}, {-36 * time.Hour, -36 * time.Hour}, {0, 0},
		} {
			api.ahead = c.ahead
			if _, err := cloud.Account(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Until(cloud.Now()).Round(time.Second); got != c.want {
				t.Errorf("an API %s ahead: the time is %s ahead, want %s", c.ahead, got, c.want)
			}
		}
	})
}
