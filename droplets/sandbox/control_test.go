package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// control calls the control API, which wants no token.
func (r *rig) control(method, path, body string) (int, string) {
	r.t.Helper()
	req, _ := http.NewRequest(method, "http://sandbox/_sandbox/"+path, strings.NewReader(body))
	res, err := r.Client().Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	b := make([]byte, res.ContentLength)
	res.Body.Read(b)
	return res.StatusCode, string(b)
}

func TestControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		defer r.Close()
		data, _ := release{version: "v1", attempt: "1", domains: []string{"a.example.com"}}.userData(t)
		d := r.create(map[string]any{"user_data": data})
		for _, c := range []struct {
			path, body string
			want       int
		}{
			{"behaviour", `{"release":"v1","kind":"fails-later","after":"20s"}`, 204},
			{"behaviour", `{"release":"v1","kind":"dance"}`, 400},
			{"faults", `{"path":"/v2/sizes","status":503,"delay":"3s"}`, 204},
			{"faults", `{"delay":"soon"}`, 400},
			{"images/missing", `{"reference":"ghcr.io/me/blog:v9"}`, 204},
			{"images/login", `{"host":"quay.io","username":"me","password":"x"}`, 204},
			{"nothing", `{}`, 404},
		} {
			if got, body := r.control("POST", c.path, c.body); got != c.want {
				t.Errorf("%s %s: %d %s, want %d", c.path, c.body, got, body, c.want)
			}
		}
		began := time.Now()
		r.want(503, "GET", "/v2/sizes", nil)
		if took := time.Since(began); took != 3*time.Second {
			t.Error("a delay of", took)
		}
		time.Sleep(20 * time.Second)
		if code, _, _ := r.get("http://"+r.address(d)+"/", "a.example.com"); code != 500 {
			t.Error("the behaviour was not set:", code)
		}
		if res, _ := r.fetch("HEAD", "https://ghcr.io/v2/me/blog/manifests/v9", ""); res.StatusCode != 404 {
			t.Error("a missing image:", res.Status)
		}
		var s sandbox.Snapshot
		_, body := r.control("GET", "state", "")
		if err := json.Unmarshal([]byte(body), &s); err != nil || len(s.Droplets) != 1 || s.Droplets[0].Release != "v1" || s.Droplets[0].Boot != "ok" {
			t.Error(err, body)
		}
		var list []sandbox.Request
		_, body = r.control("GET", "requests", "")
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 3 || list[1].Path != "/v2/sizes" || list[1].Status != 503 {
			t.Error(err, fmt.Sprint(list))
		}
	})
}
