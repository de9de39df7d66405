package sandbox_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cattle/droplets/cloudtest"
	"cattle/droplets/sandbox"
)

// quick is a cloud in real time that shows its in-between states to whoever
// looks at once.
func quick() sandbox.Latency {
	const d = 60 * time.Millisecond
	return sandbox.Latency{Active: d, Boot: d / 2, Step: d / 6, Assign: d, Delete: d, Issue: d, Power: d, Attach: d}
}

func TestConformance(t *testing.T) {
	r := newRig(t, sandbox.Options{Token: "secret", Latency: quick(), StaleLists: 100 * time.Millisecond, Unlimited: false})
	server := httptest.NewServer(r.Cloud)
	defer server.Close()
	cloudtest.Run(t, cloudtest.API{BaseURL: server.URL, Token: "secret", Poll: 20 * time.Millisecond, Patience: 20 * time.Second, Domain: "example.com"})
	if s := r.Snapshot(); len(s.Droplets)+len(s.ReservedIPs)+len(s.Volumes) != 0 {
		t.Error("the suite left something:", s)
	}
}

// TestSweep: what a killed run of the suite left is ended, and nothing else.
func TestSweep(t *testing.T) {
	r := newRig(t, sandbox.Options{Token: "secret"})
	r.token = "secret"
	own, foreign := "cloudtest-0123abcd", "cloudtest-mine"
	for _, mark := range []string{own, foreign} {
		r.addKeyNamed(mark)
		d := r.create(map[string]any{"name": "one." + mark + ".example.com", "tags": []string{mark}})
		r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d})
		r.want(201, "POST", fmt.Sprintf("/v2/droplets/%d/actions", d), map[string]any{"type": "snapshot", "name": mark})
		r.want(201, "POST", "/v2/volumes", map[string]any{"name": mark, "region": "nyc3", "size_gigabytes": 1})
		r.want(202, "POST", "/v2/firewalls", map[string]any{"name": mark, "tags": []string{mark},
			"inbound_rules": []any{map[string]any{"protocol": "tcp", "ports": "22", "sources": map[string]any{"addresses": []string{"0.0.0.0/0"}}}}})
	}
	server := httptest.NewServer(r.Cloud)
	defer server.Close()
	cloudtest.Sweep(t, cloudtest.API{BaseURL: server.URL, Token: "secret", Poll: time.Millisecond, Patience: 10 * time.Second})
	for path, list := range map[string]string{"/v2/droplets": "droplets", "/v2/reserved_ips": "reserved_ips", "/v2/images?private=true": "images", "/v2/volumes": "volumes",
		"/v2/firewalls": "firewalls", "/v2/account/keys": "ssh_keys", "/v2/tags": "tags"} {
		left := dig(r.want(200, "GET", path, nil), list).([]any)
		if len(left) != 1 || strings.Contains(fmt.Sprint(left), own) {
			t.Errorf("%s: %d are left, want the foreign one: %v", list, len(left), left)
		}
	}
}

// TestConformanceWithMachines: an account with real machines is no other account.
func TestConformanceWithMachines(t *testing.T) {
	f := newFakes(60 * time.Millisecond)
	r := newRig(t, sandbox.Options{Token: "secret", Machines: f})
	server := httptest.NewServer(r.Cloud)
	defer server.Close()
	cloudtest.Run(t, cloudtest.API{BaseURL: server.URL, Token: "secret", Poll: 20 * time.Millisecond, Patience: 20 * time.Second, Domain: "example.com"})
	if s := r.Snapshot(); len(s.Droplets)+len(s.ReservedIPs)+len(s.Volumes) != 0 {
		t.Error("the suite left something:", s)
	}
	r.Close()
	if n := strings.Count(f.calls(), "DeleteImage"); n != 1 || len(f.overlap) > 0 {
		t.Error(n, "images deleted, and at once:", f.overlap)
	}
}

func TestContract(t *testing.T) {
	t.Run("plain", func(t *testing.T) { contract(t, "") })
	t.Run("watched", func(t *testing.T) { contract(t, "/opt/cattle/traffic") })
	t.Run("guarded", func(t *testing.T) { contract(t, "/opt/cattle/guard") })
	t.Run("mailing", func(t *testing.T) { contract(t, "/opt/cattle/mail") })
}

// contract holds the verbs of a droplet that has, beside the usual ones, a script.
func contract(t *testing.T, script string) {
	r := newRig(t, sandbox.Options{Latency: quick()})
	r.addKey()
	rel := release{version: "v1+a/b", attempt: "4f1c0a9b8d7e6f50", secrets: true, domains: []string{"blog.example.com"}}
	if script != "" {
		rel.mangle = func(s string) string {
			return strings.Replace(s, "write_files:\n", "write_files:\n- {path: "+script+", content: x}\n", 1)
		}
	}
	data, host := rel.userData(t)
	d := r.create(map[string]any{"user_data": data})
	time.Sleep(200 * time.Millisecond)
	addr := r.address(d)
	exec := func(ctx context.Context, verb string, stdin []byte) ([]byte, []byte, int) {
		sh := r.ssh(addr, host)
		defer sh.close()
		out, errs, exit := sh.run(verb, stdin)
		return []byte(out), []byte(errs), exit
	}
	cloudtest.RunContract(t, cloudtest.Target{
		Exec: exec, Dial: r.Dial, Address: addr, Key: identity,
		App: "blog", Release: rel.version, Attempt: rel.attempt, Domain: "blog.example.com",
		Watched: strings.HasSuffix(script, "traffic"), Guard: strings.HasSuffix(script, "guard"), Mails: strings.HasSuffix(script, "mail"),
	})
}
