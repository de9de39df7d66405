package sandbox_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"cattle/droplets/sandbox"
)

// meta asks for metadata as a caller does.
func (r *rig) meta(caller, path string) (int, string) {
	r.t.Helper()
	q := httptest.NewRequest("GET", "http://169.254.169.254/metadata/"+path, nil)
	q.RemoteAddr = caller + ":4711"
	w := httptest.NewRecorder()
	r.Metadata().ServeHTTP(w, q)
	if w.Code == http.StatusMovedPermanently {
		return w.Code, w.Header().Get("Location")
	}
	return w.Code, w.Body.String()
}

func TestMetadataText(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.addKey()
	d := r.create(map[string]any{"user_data": "#cloud-config\nhostname: x\n", "tags": []string{"web", "env:prod"}})
	addr := r.address(d)
	const folders = "id\nhostname\nuser-data\nvendor-data\npublic-keys\nregion\ninterfaces/\ndns/\nfloating_ip/\nreserved_ip/\ntags/\nfeatures/"
	for path, want := range map[string]string{
		"v1/":                                        folders,
		"v1/id":                                      fmt.Sprint(d),
		"v1/hostname":                                "blog.example.com",
		"v1/user-data":                               "#cloud-config\nhostname: x\n",
		"v1/vendor-data":                             "#cloud-config\ndisable_root: false\nmanage_etc_hosts: true\n",
		"v1/region":                                  "nyc3",
		"v1/tags/":                                   "web\nenv:prod",
		"v1/interfaces/":                             "public/\nprivate/",
		"v1/interfaces/public/":                      "0/",
		"v1/interfaces/public/0/":                    "mac\ntype\nipv4/\nanchor_ipv4/",
		"v1/interfaces/public/0/mac":                 "02:00:c6:12:00:0a",
		"v1/interfaces/public/0/type":                "public",
		"v1/interfaces/public/0/ipv4/":               "address\nnetmask\ngateway",
		"v1/interfaces/public/0/ipv4/address":        addr,
		"v1/interfaces/public/0/ipv4/netmask":        "255.255.0.0",
		"v1/interfaces/public/0/ipv4/gateway":        "198.18.0.1",
		"v1/interfaces/private/0/ipv4/address":       "10.108.0.2",
		"v1/dns/nameservers":                         "198.18.0.3",
		"v1/floating_ip/ipv4/active":                 "false",
		"v1/reserved_ip/":                            "ipv4/",
		"v1/reserved_ip/ipv4/":                       "active",
		"v1/reserved_ip/ipv4/active":                 "false",
		"v1/features/dhcp_enabled":                   "false",
		"v1/interfaces/public/0/anchor_ipv4/netmask": "255.255.0.0",
	} {
		if status, got := r.meta(addr, path); status != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", path, status, got, want)
		}
	}
	if _, got := r.meta(addr, "v1/public-keys"); !strings.HasPrefix(got, "ssh-ed25519 ") || strings.Contains(got, "\n") {
		t.Errorf("keys %q", got)
	}
	for _, path := range []string{"v1/nothing", "v1/id/", "v1/id/x", "v2/", "v1/reserved_ip/ipv4/ip_address", "v1/interfaces/public/1/", "v1/tags/other"} {
		if status, _ := r.meta(addr, path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	for _, path := range []string{"v1", "v1/interfaces", "v1/reserved_ip/ipv4"} {
		if status, to := r.meta(addr, path); status != 301 || to != "/metadata/"+path+"/" {
			t.Errorf("%s: %d %s", path, status, to)
		}
	}
}

// TestMetadataCallers: a droplet sees its own, and nobody else anything.
func TestMetadataCallers(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	one := r.create(nil)
	two := r.create(map[string]any{"name": "two"})
	if r.address(one) != "198.18.0.10" || r.address(two) != "198.18.0.11" {
		t.Fatal(r.address(one), r.address(two))
	}
	for caller, want := range map[string]int{
		"198.18.0.10": one, "169.254.1.10": one, "10.108.0.2": one, "[::ffff:198.18.0.10]": one,
		"198.18.0.11": two, "169.254.1.11": two, "10.108.0.3": two,
	} {
		if _, got := r.meta(caller, "v1/id"); got != fmt.Sprint(want) {
			t.Errorf("%s is told %s, want %d", caller, got, want)
		}
	}
	for _, caller := range []string{"198.18.0.12", "169.254.0.10", "127.0.0.1", "198.19.0.10", "nobody"} {
		for _, path := range []string{"v1.json", "v1/", "v1/id"} {
			if status, got := r.meta(caller, path); status != 404 {
				t.Errorf("%s %s: %d %s", caller, path, status, got)
			}
		}
	}
	w := httptest.NewRecorder()
	r.Metadata().ServeHTTP(w, httptest.NewRequest("POST", "/metadata/v1.json", nil))
	if w.Code != 405 {
		t.Error("POST:", w.Code)
	}
}

// TestMetadataOfMachine: what cloud-init's datasource for DigitalOcean reads,
// and no interface that a machine has not got; it is there while the machine
// is being made, and knows of the reserved IP.
func TestMetadataOfMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := realRig(t, sandbox.Options{})
		defer r.Close()
		r.addKey()
		d := r.create(map[string]any{"user_data": "#cloud-config\n", "ipv6": true})
		r.wantStatus(d, "new")
		status, body := r.meta("169.254.1.10", "v1.json")
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil || status != 200 {
			t.Fatal(status, err, body)
		}
		for _, c := range []struct {
			want any
			path []any
		}{
			{float64(d), []any{"droplet_id"}},
			{"blog.example.com", []any{"hostname"}},
			{"#cloud-config\n", []any{"user_data"}},
			{"nyc3", []any{"region"}},
			{"02:00:c6:12:00:0a", []any{"interfaces", "public", 0, "mac"}},
			{"public", []any{"interfaces", "public", 0, "type"}},
			{"198.18.0.10", []any{"interfaces", "public", 0, "ipv4", "ip_address"}},
			{"255.255.0.0", []any{"interfaces", "public", 0, "ipv4", "netmask"}},
			{"198.18.0.1", []any{"interfaces", "public", 0, "ipv4", "gateway"}},
			{"10.17.0.10", []any{"interfaces", "public", 0, "anchor_ipv4", "ip_address"}},
			{nil, []any{"interfaces", "public", 0, "ipv6"}},
			{nil, []any{"interfaces", "private"}},
			{"198.18.0.3", []any{"dns", "nameservers", 0}},
			{false, []any{"reserved_ip", "ipv4", "active"}},
			{nil, []any{"reserved_ip", "ipv4", "ip_address"}},
			{false, []any{"features", "dhcp_enabled"}},
		} {
			if got := dig(v, c.path...); got != c.want {
				t.Errorf("%v: %v, want %v", c.path, got, c.want)
			}
		}
		if keys, _ := dig(v, "public_keys").([]any); len(keys) != 1 {
			t.Error("keys", keys)
		}
		if key, _ := dig(v, "auth_key").(string); len(key) != 32 {
			t.Error("auth_key", key)
		}
		r.hasAddress(d)
	})
}

// hasAddress follows a reserved IP in a droplet's metadata.
func (r *rig) hasAddress(d int) {
	r.t.Helper()
	pass(1e9)
	v := r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d})
	ip, _ := dig(v, "reserved_ip", "ip").(string)
	if _, got := r.meta("198.18.0.10", "v1/reserved_ip/ipv4/active"); got != "false" {
		r.t.Error("active before it is:", got)
	}
	pass(1e9)
	for _, kind := range []string{"reserved_ip", "floating_ip"} {
		_, active := r.meta("198.18.0.10", "v1/"+kind+"/ipv4/active")
		_, got := r.meta("198.18.0.10", "v1/"+kind+"/ipv4/ip_address")
		if active != "true" || got != ip {
			r.t.Errorf("%s: %s %s, want %s", kind, active, got, ip)
		}
	}
	r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "unassign"})
	pass(1e9)
	if _, got := r.meta("198.18.0.10", "v1/reserved_ip/ipv4/active"); got != "false" {
		r.t.Error("active after it was:", got)
	}
}
