//go:build e2e

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestBootedNewName adds names to a site on booted machines: each certificate is
// obtained before the switch, with real nginx passing the challenges on, and that
// of a refused release is not lost.
func TestBootedNewName(t *testing.T) {
	r := newRig(t)
	r.file = r.shop(t, refusal{name: "shop"})
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
	r.leads(t, "shop.example.com")
	r.certified(t, "shop.example.com")
	r.issued(t, 1, "shop.example.com")

	old := r.member(t, "live").ID
	r.leads(t, "www.shop.example.com")
	r.names(t, "shop.example.com", "www.shop.example.com")
	out := r.must(t, exitDone, v2, "release", "--file", r.file, v2)
	if before, _, _ := strings.Cut(out, "switch: move "); !strings.Contains(before, "certify done in") || strings.Contains(out, "no certificate for") {
		t.Error("it was not obtained before the switch")
	}
	r.issued(t, 2, "shop.example.com", "www.shop.example.com")
	r.certified(t, "www.shop.example.com")
	if left := r.mustIn(t, old, "ls /run/cattle-challenge 2>/dev/null || true; systemctl list-units --no-legend --plain 'cattle-challenge*'; nginx -t -q 2>&1"); left != "" {
		t.Errorf("the old droplet passes challenges on still:\n%s", left)
	}
	r.sound(t, old)

	r.leads(t, "m.shop.example.com")
	r.names(t, "shop.example.com", "www.shop.example.com", "m.shop.example.com")
	r.must(t, exitNotReleased, v2, "release", "--file", r.file, vBroken)
	r.issued(t, 3, "m.shop.example.com", "shop.example.com", "www.shop.example.com")
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
	r.issued(t, 3, "m.shop.example.com", "shop.example.com", "www.shop.example.com")
	r.certified(t, "m.shop.example.com")
	if out, _ := r.run(t, "status", "--file", r.file); !strings.Contains(out, "certificates: 1 of 5 issued in 7 days for this set of names") {
		t.Error("status does not count the certificate")
	}
}

// leads makes a name's A record.
func (r *rig) leads(t *testing.T, name string) {
	t.Helper()
	st, err := r.status(t.Context())
	if err == nil {
		err = r.sandbox.post(t.Context(), "/v2/domains", map[string]string{"name": name, "ip_address": st.IP})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// names has the shop's profile name these.
func (r *rig) names(t *testing.T, names ...string) {
	t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "domain") })
	lines[i] = fmt.Sprintf("domains: [%s]", strings.Join(names, ", "))
	if err := os.WriteFile(r.file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certified waits until a name answers over HTTPS, as visitors verify it.
func (r *rig) certified(t *testing.T, name string) {
	t.Helper()
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	door, err := r.door(st.IP)
	if err != nil {
		t.Fatal(err)
	}
	door.Host = name
	if err := r.secure(t.Context(), door); err != nil {
		t.Fatal(name, err)
	}
}

// issued wants so many certificates in all, the last one for these names, sorted.
func (r *rig) issued(t *testing.T, n int, names ...string) {
	t.Helper()
	all := r.sandbox.world.internet.ACME.Issued()
	if len(all) != n || !slices.Equal(all[len(all)-1].Names, names) {
		t.Errorf("%d certificates, want %d: %v", len(all), n, all)
	}
}
