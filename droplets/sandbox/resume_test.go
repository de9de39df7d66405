package sandbox_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// TestGoesOn: a cloud that begins from another's state has its droplets, its
// addresses and its authority, and what was under way comes to its end.
func TestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: sandbox.Latency{Active: time.Minute}})
		order(t, r.Client())
		time.Sleep(20 * time.Second)
		state, err := r.State()
		if err != nil {
			t.Fatal(err)
		}
		if at, err := sandbox.StateTime(state); err != nil || !at.Equal(time.Now()) {
			t.Errorf("the state is of %s: %v", at, err)
		}
		next, err := sandbox.New(sandbox.Options{State: state})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if string(next.CA()) != string(r.CA()) {
			t.Error("it has another authority")
		}
		if s := next.Snapshot(); len(s.Droplets) != 1 || s.Droplets[0].Status != "new" {
			t.Errorf("%+v", s.Droplets)
		}
		time.Sleep(time.Minute)
		if s := next.Snapshot(); s.Droplets[0].Status != "active" {
			t.Errorf("%+v", s.Droplets)
		}
	})
}

// TestChanges: what happens is kept with its time, and with who ordered it.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: sandbox.Latency{Active: time.Minute}})
		ordered := time.Now()
		order(t, r.Client())
		time.Sleep(time.Hour)
		var what []sandbox.What
		for _, c := range r.Changes() {
			what = append(what, c.What)
			if c.Agent != "me" {
				t.Errorf("%s by %q", c.What, c.Agent)
			}
		}
		if !slices.Equal(what, []sandbox.What{sandbox.Created, sandbox.Powered}) {
			t.Fatalf("%v", what)
		}
		if at := r.Changes()[1].At; at.Sub(ordered) != time.Minute {
			t.Errorf("active after %s, though nobody looked", at.Sub(ordered))
		}
	})
}

func order(t *testing.T, client *http.Client) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://api.test/v2/droplets",
		strings.NewReader(`{"name":"one","region":"fra1","size":"s-1vcpu-1gb","image":"debian-13-x64"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer t")
	req.Header.Set("User-Agent", "me")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
}
