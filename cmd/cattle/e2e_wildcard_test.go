//go:build e2e

package main

import (
	"net/netip"
	"strings"
	"testing"
)

// shortLived puts a certificate for the names into the place of the droplet's,
// of which ten days are left, by nobody whom a visitor trusts.
const shortLived = `cd /etc/letsencrypt/live/cattle
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=wild.example.com \
	-addext 'subjectAltName=DNS:wild.example.com,DNS:*.wild.example.com' -keyout /root/key.pem -out /root/cert.pem 2>/dev/null
cp /root/key.pem privkey.pem && cp /root/cert.pem cert.pem && cp /root/cert.pem fullchain.pem
systemctl reload nginx`

// TestBootedWildcard proves a wildcard to Pebble by DNS, with real certbot asking
// and the operator answering; what it got goes along, and he renews it.
func TestBootedWildcard(t *testing.T) {
	r := newRig(t)
	const apex, wild, below = "wild.example.com", "*.wild.example.com", "any.wild.example.com"
	// By the test authority of Let's Encrypt's, whose issuer nobody checks: the
	// droplet is given a certificate by hand below.
	r.file = r.shop(t, refusal{name: "wild", profile: "dns: digitalocean\ntls: {staging: true}\n"})
	r.names(t, apex, `"`+wild+`"`)
	if err := r.sandbox.post(t.Context(), "/v2/domains", map[string]string{"name": apex}); err != nil {
		t.Fatal(err)
	}
	served := func() {
		t.Helper()
		r.certified(t, apex)
		r.certified(t, below)
		if texts := r.sandbox.cloud.TXT("_acme-challenge." + apex); len(texts) > 0 {
			t.Errorf("challenges are left over: %v", texts)
		}
	}
	out := r.must(t, exitDone, v1, "release", "--file", r.file, v1)
	if before, _, _ := strings.Cut(out, "switch: "); !strings.Contains(before, "certify done in") || strings.Contains(out, "no certificate for") {
		t.Error("it was not obtained before the switch")
	}
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if addrs, _ := r.sandbox.cloud.Lookup(below); len(addrs) != 1 || addrs[0] != netip.MustParseAddr(st.IP) {
		t.Errorf("%s leads to %v", below, addrs)
	}
	served()
	first := r.member(t, "live").ID
	if left := r.mustIn(t, first, "ls -d /run/cattle-wildcard 2>/dev/null || true; /opt/cattle/certify --late; systemctl is-active cattle-certify.timer || true"); left != "inactive" {
		t.Errorf("the droplet goes on: %s", left)
	}
	r.sound(t, first)

	r.must(t, exitDone, v2, "release", "--file", r.file, v2)
	r.must(t, exitDone, v2, "rebuild", "--file", r.file)
	r.issued(t, 1, wild, apex)
	served()

	live := r.member(t, "live").ID
	r.mustIn(t, live, shortLived)
	if out := r.mustIn(t, live, "systemctl start cattle-renew.service && systemctl show --property Result --value cattle-renew.service"); out != "success" {
		t.Errorf("the droplet's own renewal: %s", out)
	}
	r.issued(t, 1, wild, apex)
	if out, exit := r.run(t, "status", "--file", r.file); exit != exitLeftover || !strings.Contains(out, "the certificate for "+apex+", "+wild+" ends on ") {
		t.Errorf("status ends with %d", exit)
	}
	out = r.must(t, exitDone, v2, "rebuild", "--file", r.file)
	if before, _, _ := strings.Cut(out, "switch: "); !strings.Contains(before, "certify done in") {
		t.Error("it was not renewed before the switch")
	}
	r.issued(t, 2, wild, apex)
	served()
	r.must(t, exitDone, v2, "status", "--file", r.file)
}
