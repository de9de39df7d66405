package sandbox_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"cattle/droplets/sandbox"
)

// zone makes names of the account: one with an address, one without, an alias
// of each kind.
func (r *rig) zone() {
	r.t.Helper()
	r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com", "ip_address": "198.19.0.11"})
	for name, data := range map[string]string{"www": "@", "out": "hosting.example.org.", "loop": "loop.example.com."} {
		r.want(201, "POST", "/v2/domains/example.com/records", map[string]any{"type": "CNAME", "name": name, "data": data})
	}
	r.want(201, "POST", "/v2/domains/example.com/records", map[string]any{"type": "TXT", "name": "text", "data": "x"})
}

func TestLookup(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.zone()
	data, _ := release{version: "v1", attempt: "1", domains: []string{"claimed.example.net"}}.userData(t)
	r.create(map[string]any{"user_data": data})
	for _, c := range []struct {
		name, want string
		known      bool
	}{
		{"example.com", "[198.19.0.11]", true},
		{"WWW.Example.com.", "[198.19.0.11]", true},
		{"nothing.example.com", "[]", true},
		{"text.example.com", "[]", true},
		{"loop.example.com", "[]", true},
		{"claimed.example.net", "[]", true},
		{"out.example.com", "[]", false},
		{"packages.debian.example", "[]", false},
		{"notexample.com", "[]", false},
	} {
		if got, known := r.Lookup(c.name); fmt.Sprint(got) != c.want || known != c.known {
			t.Errorf("%s: %v %v, want %s %v", c.name, got, known, c.want, c.known)
		}
	}
}

// TestDialMachines: all but the API is in the network of the machines.
func TestDialMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{Internet: netip.MustParseAddr("198.18.0.2")})
		defer r.Close()
		r.zone()
		d := r.running(f)
		addr := r.address(d)
		for _, c := range []struct{ to, want string }{
			{addr + ":22", "tcp " + addr + ":22"},
			{"198.18.200.7:80", "tcp 198.18.200.7:80"},
			{"www.example.com:443", "tcp 198.19.0.11:443"},
			{"ghcr.io:443", "tcp 198.18.0.2:443"},
			{"out.example.com:2525", "tcp 198.18.0.2:2525"},
		} {
			if _, err := r.Dial(context.Background(), "tcp", c.to); !errors.Is(err, errNobody) {
				t.Errorf("%s: %v", c.to, err)
			}
			if got := strings.Join(f.dialed, ", "); got != c.want {
				t.Errorf("%s: dialed %q, want %q", c.to, got, c.want)
			}
			f.dialed = nil
		}
		_, err := r.Dial(context.Background(), "tcp", "nothing.example.com:443")
		var unknown *net.DNSError
		if !errors.As(err, &unknown) || f.dialed != nil {
			t.Error("a name without a record:", err, f.dialed)
		}
		if res, err := r.HTTPClient().Get("https://api.digitalocean.com/v2/account"); err != nil || res.StatusCode != 401 {
			t.Error("the API:", res, err)
		}
		r.walled()
		if _, err := r.Dial(context.Background(), "tcp", addr+":5432"); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Error("past the firewall:", err)
		}
		if _, err := r.Dial(context.Background(), "tcp", addr+":22"); !errors.Is(err, errNobody) {
			t.Error("through the firewall:", err)
		}
		r.Close()
		f.dialed = nil
		if _, err := r.Dial(context.Background(), "tcp", addr+":22"); !errors.Is(err, syscall.ENETUNREACH) || f.dialed != nil {
			t.Error("after the end:", err)
		}
	})
}

// walled puts every droplet behind a firewall that lets SSH through.
func (r *rig) walled() {
	r.t.Helper()
	var ids []int
	for _, d := range r.Snapshot().Droplets {
		ids = append(ids, d.ID)
	}
	r.want(202, "POST", "/v2/firewalls", map[string]any{"name": "wall", "droplet_ids": ids, "inbound_rules": []any{
		map[string]any{"protocol": "tcp", "ports": "22", "sources": map[string]any{"addresses": []string{"0.0.0.0/0"}}}}})
}

// TestSOCKSToMachines: what a real network answers, or fails to, reaches the
// client in the words of RFC 1928.
func TestSOCKSToMachines(t *testing.T) {
	r, f := realRig(t, sandbox.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go r.ServeSOCKS(l)
	for _, c := range []struct {
		err  error
		want byte
	}{
		{syscall.ECONNREFUSED, 5},
		{syscall.EHOSTUNREACH, 4},
		{syscall.ENETUNREACH, 3},
		{os.ErrDeadlineExceeded, 4},
		{errNobody, 1},
	} {
		f.dialErr = &net.OpError{Op: "dial", Err: c.err}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte{5, 1, 0, 5, 1, 0, 1, 198, 18, 0, 10, 0, 22})
		answer := make([]byte, 12)
		if _, err := io.ReadFull(conn, answer); err != nil || answer[3] != c.want {
			t.Errorf("%v: reply %v, want %d; %v", c.err, answer, c.want, err)
		}
		conn.Close()
		if !f.bounded {
			t.Error("a dial without end")
		}
	}
}

func TestNoInternet(t *testing.T) {
	r, _ := realRig(t, sandbox.Options{})
	var unknown *net.DNSError
	if _, err := r.Dial(context.Background(), "tcp", "ghcr.io:443"); !errors.As(err, &unknown) {
		t.Error(err)
	}
}

func TestHostCertificate(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	cert, err := r.HostCertificate(&tls.ClientHelloInfo{ServerName: "ghcr.io"})
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.CA())
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: "ghcr.io", Roots: pool}); err != nil {
		t.Error(err)
	}
	if _, err := r.HostCertificate(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate for no name")
	}
}

// TestTrust: another authority is in the bundle until the process ends; the
// cloud's own stays what it is.
func TestTrust(t *testing.T) {
	opt := sandbox.Options{Dir: t.TempDir()}
	other := newRig(t, sandbox.Options{}).CA()
	r := newRig(t, opt)
	own := string(r.CA())
	if err := r.Trust([]byte("nonsense")); err == nil {
		t.Error("nonsense is trusted")
	}
	if err := r.Trust(other); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(r.CAFile()); string(b) != own+string(other) || string(r.CA()) != own {
		t.Errorf("bundle:\n%s", b)
	}
	r.Close()
	again := newRig(t, opt)
	if b, _ := os.ReadFile(again.CAFile()); string(b) != own || string(again.CA()) != own {
		t.Errorf("bundle after a restart:\n%s", b)
	}
}

// TestTrustOfClient: HTTPClient trusts what was added, and nothing else.
func TestTrustOfClient(t *testing.T) {
	r, other := newRig(t, sandbox.Options{}), newRig(t, sandbox.Options{})
	reach := func() error {
		client := r.HTTPClient()
		client.Transport.(*http.Transport).DialContext = other.Dial
		res, err := client.Get("https://ghcr.io/v2/")
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	if reach() == nil {
		t.Error("a stranger is trusted")
	}
	if err := r.Trust(other.CA()); err != nil {
		t.Fatal(err)
	}
	if err := reach(); err != nil {
		t.Error(err)
	}
}
