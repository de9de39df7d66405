package sandbox_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// TestFolderIsLocked: two clouds in one folder would overwrite each other.
func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, sandbox.Options{Dir: dir})
	r.want(202, "POST", "/v2/droplets", r.spec(nil))
	if _, err := sandbox.New(sandbox.Options{Dir: dir}); err == nil || err.Error() != "another sandbox uses "+dir {
		t.Fatalf("a second sandbox: %v", err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := newRig(t, sandbox.Options{Dir: dir})
	if n := len(again.Snapshot().Droplets); n != 1 {
		t.Errorf("%d droplets after a restart", n)
	}
}

// TestFolderIsFreeAfterFailure: a New that fails holds no lock.
func TestFolderIsFreeAfterFailure(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.New(sandbox.Options{Dir: dir}); err == nil {
		t.Fatal("half a state was read")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	newRig(t, sandbox.Options{Dir: dir})
}

// TestUnsavedIsTold: a call whose outcome a restart would forget is answered
// 500, and so is every one after it until the state is saved.
func TestUnsavedIsTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r := newRig(t, sandbox.Options{Dir: dir})
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"POST", "/v2/droplets"}, {"GET", "/v2/droplets"}} {
		v := r.want(500, c[0], c[1], r.spec(nil))
		if m, _ := v["message"].(string); v["id"] != "server_error" || !strings.Contains(m, "cannot save its state") {
			t.Errorf("%v: %v", c, v)
		}
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	r.want(200, "GET", "/v2/droplets", nil)
}

// TestBrowsersAreRefused: a web page could otherwise reach a sandbox on loopback.
func TestBrowsersAreRefused(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for _, path := range []string{"/v2/droplets", "/_sandbox/requests", "/_sandbox/behaviour"} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			req, err := http.NewRequest(method, "http://sandbox"+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer token")
			req.Header.Set("Origin", "null")
			res, err := r.Client().Do(req)
			if err != nil || res.StatusCode != 403 {
				t.Errorf("%s %s: %v %v", method, path, res, err)
			}
		}
	}
	if list := r.Requests(); len(list) > 0 {
		t.Errorf("refused, but %v", list)
	}
}

// TestDeletedIsLocked: until it is gone a droplet is listed, active and locked.
func TestDeletedIsLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: sandbox.Latency{Delete: 3 * time.Second}})
		defer r.Close()
		path := fmt.Sprint("/v2/droplets/", r.create(nil))
		r.want(204, "DELETE", path, nil)
		one := dig(r.want(200, "GET", path, nil), "droplet")
		listed := dig(r.want(200, "GET", "/v2/droplets", nil), "droplets", 0)
		for _, v := range []any{one, listed} {
			if dig(v, "locked") != true || dig(v, "status") != "active" {
				t.Errorf("being deleted: %v", v)
			}
		}
		time.Sleep(3 * time.Second)
		r.want(404, "GET", path, nil)
	})
}
