package sandbox_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

func TestFaults(t *testing.T) {
	droplets := func(r *rig) int { return len(dig(r.want(200, "GET", "/v2/droplets", nil), "droplets").([]any)) }
	post := sandbox.Fault{Method: "POST", Path: "/v2/droplets"}
	tests := []struct {
		name    string
		fault   func(f sandbox.Fault) sandbox.Fault
		status  int // 0: the connection breaks
		effects int // droplets that are there after one create
	}{
		{"before the effect", func(f sandbox.Fault) sandbox.Fault { f.Status = 502; return f }, 502, 0},
		{"after the effect", func(f sandbox.Fault) sandbox.Fault { f.Status, f.After = 502, true; return f }, 502, 1},
		{"reset before", func(f sandbox.Fault) sandbox.Fault { f.Reset = true; return f }, 0, 0},
		{"reset after", func(f sandbox.Fault) sandbox.Fault { f.Reset, f.After = true, true; return f }, 0, 1},
		{"second call only", func(f sandbox.Fault) sandbox.Fault { f.Status, f.Nth = 502, 2; return f }, 202, 1},
		{"other body", func(f sandbox.Fault) sandbox.Fault { f.Status, f.Body = 502, "no such text"; return f }, 202, 1},
		{"other path", func(f sandbox.Fault) sandbox.Fault { f.Status, f.Path = 502, "/v2/droplets/*"; return f }, 202, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			r.Fault(test.fault(post))
			status, _, err := r.try("POST", "/v2/droplets", r.spec(nil))
			if test.status == 0 && !errors.Is(err, syscall.ECONNRESET) {
				t.Error("want a connection reset, got", status, err)
			}
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if n := droplets(r); n != test.effects {
				t.Errorf("%d droplets, want %d", n, test.effects)
			}
		})
	}
}

func TestFaultCounts(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.Fault(sandbox.Fault{Path: "/v2/account", Nth: 2, Count: 2, Status: 503})
	got := ""
	for range 5 {
		status, _ := r.call("GET", "/v2/account", nil)
		got += fmt.Sprint(status, " ")
	}
	if got != "200 503 503 200 200 " {
		t.Error(got)
	}
	r.Fault(sandbox.Fault{Count: -1, Status: 500})
	r.want(500, "GET", "/v2/sizes", nil)
	r.want(500, "GET", "/v2/sizes", nil)
	r.ClearFaults()
	r.want(200, "GET", "/v2/sizes", nil)
}

func TestFaultyActions(t *testing.T) {
	for outcome, want := range map[sandbox.Outcome]struct {
		status string
		moved  bool
	}{
		"":              {"completed", true},
		sandbox.Errored: {"errored", false},
		sandbox.NoOp:    {"completed", false},
		sandbox.Stuck:   {"in-progress", false},
		sandbox.Lost:    {"", true},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			one, two := r.create(nil), r.create(nil)
			ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": one}), "reserved_ip", "ip").(string)
			r.Fault(sandbox.Fault{Body: `"assign"`, Action: outcome})
			v := r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": two})
			_, action := r.call("GET", fmt.Sprint("/v2/actions/", id(v, "action", "id")), nil)
			if got, _ := dig(action, "action", "status").(string); got != want.status {
				t.Errorf("action %q, want %q", got, want.status)
			}
			at := id(r.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip", "droplet", "id")
			if (at == two) != want.moved {
				t.Errorf("the address is at %d (from %d to %d)", at, one, two)
			}
		})
	}
}

func TestStaleReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		defer r.Close()
		one, two := r.create(nil), r.create(nil)
		ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": one}), "reserved_ip", "ip").(string)
		time.Sleep(time.Minute)
		r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": two})
		three := r.create(nil)
		r.Fault(sandbox.Fault{Method: "GET", Count: 2, Stale: 10 * time.Second})
		if at := id(r.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip", "droplet", "id"); at != one {
			t.Error("a stale read shows", at)
		}
		r.want(404, "GET", fmt.Sprint("/v2/droplets/", three), nil)
		r.want(200, "GET", fmt.Sprint("/v2/droplets/", three), nil)
	})
}

func TestPresetFaults(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	d := r.create(nil)
	r.Fault(sandbox.PendingEvent(1))
	r.Fault(sandbox.TooManyRequests("GET", "/v2/sizes", 7*time.Second))
	v := r.want(422, "POST", fmt.Sprint("/v2/droplets/", d, "/actions"), map[string]any{"type": "power_off"})
	if dig(v, "message") != "Droplet already has a pending event." {
		t.Error(v)
	}
	req, _ := http.NewRequest("GET", "http://api/v2/sizes", nil)
	req.Header.Set("Authorization", "Bearer x")
	res, err := r.Client().Do(req)
	if err != nil || res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" {
		t.Error(res, err)
	}
}

// header makes a call and returns its headers.
func (r *rig) header(path string) (int, http.Header) {
	r.t.Helper()
	req, _ := http.NewRequest("GET", "http://api"+path, nil)
	req.Header.Set("Authorization", "Bearer "+r.token)
	res, err := r.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, res.Header
}

func TestRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		defer r.Close()
		_, h := r.header("/v2/account")
		if h.Get("Ratelimit-Limit") != "5000" || h.Get("Ratelimit-Remaining") != "249" || h.Get("Retry-After") != "" {
			t.Error("first call:", h)
		}
		time.Sleep(10 * time.Second)
		for range 249 {
			r.header("/v2/account")
		}
		status, h := r.header("/v2/account")
		if status != 429 || h.Get("Retry-After") != "50" || h.Get("Ratelimit-Remaining") != "0" {
			t.Error("a burst:", status, h)
		}
		time.Sleep(50 * time.Second)
		if status, _ = r.header("/v2/account"); status != 200 {
			t.Error("after its retry-after a call gets", status)
		}
		// The hour: 5,000 calls, slowly. Its 429 has no retry-after.
		time.Sleep(time.Minute)
		calls := 251
		for status != 429 && calls < 6000 {
			time.Sleep(500 * time.Millisecond)
			status, h = r.header("/v2/account")
			calls++
		}
		if calls != 5001 || h.Get("Retry-After") != "" || h.Get("Ratelimit-Reset") == "" {
			t.Error("call", calls, "was the first to be refused:", h)
		}
		r.token = "another"
		if status, _ = r.header("/v2/account"); status != 200 {
			t.Error("another token gets", status)
		}
	})
}

func TestKeysRateLimit(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for range 10 {
		r.want(200, "GET", "/v2/account/keys", nil)
	}
	v := r.want(429, "GET", "/v2/account/keys", nil)
	if dig(v, "id") != "too_many_requests" || !strings.Contains(dig(v, "message").(string), "ate limit exceeded") {
		t.Error(v)
	}
	r.want(200, "GET", "/v2/account", nil)
}

func TestToken(t *testing.T) {
	r := newRig(t, sandbox.Options{Token: "right"})
	v := r.want(401, "GET", "/v2/account", nil)
	if dig(v, "message") != "Unable to authenticate you." {
		t.Error(v)
	}
	r.token = "right"
	r.want(200, "GET", "/v2/account", nil)
	r = newRig(t, sandbox.Options{})
	r.token = ""
	r.want(401, "GET", "/v2/account", nil)
}
