//go:build e2e && linux

package nspawn

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve has a droplet answer its name on port 80.
func (s *stage) serve(id int) {
	s.t.Helper()
	s.sh(id, "mkdir -p /srv/www && hostname >/srv/www/index.html && systemd-run --quiet -p WorkingDirectory=/srv/www python3 -m http.server 80")
	s.until(10*time.Second, "web server", func() bool { return s.reaches(fmt.Sprintf("198.18.0.%d:80", id)) })
}

// Droplets reach each other, the sandbox and reserved addresses, and nothing else.
func TestNetwork(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	l, err := s.Listen("tcp", "198.18.0.2:80")
	s.must(err)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	u, err := s.ListenPacket("udp", "198.18.0.3:53")
	s.must(err)
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "forged" {
				t.Errorf("a packet came with the forged address %s", from)
			}
			u.WriteTo(b[:n], from)
		}
	}()
	s.create(10, 0, trivial)
	s.create(11, 0, trivial)
	s.booted(10)
	s.booted(11)
	s.serve(10)
	s.serve(11)

	get := func(id int, url string) string {
		return s.sh(id, "curl -sS --max-time 5 "+url)
	}
	if got := get(10, "http://198.18.0.11"); got != "droplet-11" {
		t.Errorf("the other droplet answers %q", got)
	}
	if got := get(10, "http://198.18.0.2"); !strings.HasPrefix(got, "198.18.0.10:") {
		t.Errorf("the internet sees %q", got)
	}
	if got := get(11, "http://169.254.169.254/metadata/v1.json"); !strings.Contains(got, `"droplet_id":11`) {
		t.Errorf("the metadata service says %q", got)
	}
	if got := s.sh(10, `python3 -c 'import socket; s=socket.socket(2,2); s.settimeout(5); s.sendto(b"hello",("198.18.0.3",53)); print(s.recv(9))'`); got != "b'hello'" {
		t.Errorf("UDP brought %q", got)
	}
	// Nobody gets metadata with another one's address.
	if out, err := s.try(10, "sh", "-c", "ip addr add 198.18.0.11/32 dev eth0; ip addr add 169.254.1.11/32 dev eth0; for a in 198.18.0.11 169.254.1.11; do curl -sS --max-time 2 --interface $a http://169.254.169.254/metadata/v1.json; done"); err == nil || strings.Contains(out, "droplet_id") {
		t.Errorf("a droplet got another one's metadata: %q", out)
	}
	for _, forged := range []string{"198.18.0.11", "169.254.1.11"} {
		s.sh(10, `python3 -c 'import socket; s=socket.socket(2,2); s.bind(("`+forged+`",0)); s.sendto(b"forged",("198.18.0.3",53))'`)
	}
	s.sh(10, "ip addr del 198.18.0.11/32 dev eth0; ip addr del 169.254.1.11/32 dev eth0")
	// There is no way out, and it is said at once.
	begin := time.Now()
	for _, outside := range []string{"192.0.2.1", "8.8.8.8", "10.0.0.1"} {
		if out, err := s.try(10, "curl", "-sS", "--max-time", "5", "http://"+outside); err == nil {
			t.Errorf("%s answered %q", outside, out)
		}
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("being refused takes %s", took)
	}

	t.Run("reserved address", func(t *testing.T) {
		s.t = t
		testReserved(t, s, ctx)
	})
}

func testReserved(t *testing.T, s *stage, ctx context.Context) {
	var (
		ip    = netip.MustParseAddr("198.19.0.1")
		one   = netip.MustParseAddr("198.18.0.10")
		other = netip.MustParseAddr("198.18.0.11")
	)
	refused := func(when string) {
		t.Helper()
		begin := time.Now()
		if s.reaches("198.19.0.1:80") {
			t.Errorf("%s the address answers", when)
		}
		if out, err := s.try(10, "curl", "-sS", "--max-time", "5", "http://198.19.0.1"); err == nil {
			t.Errorf("%s the address answers a droplet %q", when, out)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s it takes %s to be refused", when, took)
		}
	}
	refused("before it is assigned")
	s.must(s.Assign(ctx, ip, one))
	for _, from := range []int{10, 11} { // from itself as well
		if got := s.sh(from, "curl -sS --max-time 5 http://198.19.0.1"); got != "droplet-10" {
			t.Errorf("droplet %d is answered by %q", from, got)
		}
	}
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: s.Dial, DisableKeepAlives: true}}
	ask := func() (string, error) {
		resp, err := client.Get("http://198.19.0.1")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return strings.TrimSpace(string(body)), err
	}
	kept, err := s.Dial(ctx, "tcp", "198.19.0.1:22")
	s.must(err)
	defer kept.Close()
	banner := make([]byte, 3)
	if _, err := io.ReadFull(kept, banner); err != nil {
		t.Fatal(err)
	}

	// Moved to and fro under requests: each is answered, and after Assign by
	// the new one.
	var asked, failed atomic.Int64
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked.Add(1)
			if _, err := ask(); err != nil {
				failed.Add(1)
				t.Log(err)
			}
		}
	}()
	for i := range 20 {
		to, want := other, "droplet-11"
		if i%2 == 1 {
			to, want = one, "droplet-10"
		}
		s.must(s.Assign(ctx, ip, to))
		if got, err := ask(); got != want {
			t.Errorf("after the move %s answers (%v), want %s", got, err, want)
		}
	}
	s.must(s.Assign(ctx, ip, other))
	close(stop)
	<-ended
	t.Logf("%d requests during 21 moves, %d failed", asked.Load(), failed.Load())
	if failed.Load() > 0 || asked.Load() < 20 {
		t.Errorf("%d of %d requests failed", failed.Load(), asked.Load())
	}
	// The connection that was made before stays with the droplet that it was made to.
	kept.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := kept.Write([]byte("SSH-2.0-test\r\n")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(kept, make([]byte, 100)); err != nil {
		t.Errorf("the connection from before the move: %v", err)
	}
	s.must(s.Assign(ctx, ip, netip.Addr{}))
	refused("after it was taken off")
	if err := s.Assign(ctx, one, other); err == nil {
		t.Error("a droplet's own address was led elsewhere")
	}
}

// Two sandboxes have the same addresses and do not meet.
func TestTwoAtOnce(t *testing.T) {
	a, b := newStage(t), newStage(t)
	a.create(10, 0, strings.Replace(trivial, "written", "of a", 1))
	b.create(10, 0, strings.Replace(trivial, "written", "of b", 1))
	a.booted(10)
	b.booted(10)
	if x, y := a.sh(10, "cat /etc/rehearsal"), b.sh(10, "cat /etc/rehearsal"); x != "of a" || y != "of b" {
		t.Errorf("the sandboxes' droplets have %q and %q", x, y)
	}
	ip, to := netip.MustParseAddr("198.19.0.1"), netip.MustParseAddr("198.18.0.10")
	a.must(a.Assign(t.Context(), ip, to))
	if !a.reaches("198.19.0.1:22") || b.reaches("198.19.0.1:22") {
		t.Error("the reserved address of one sandbox leads somewhere in the other")
	}
	a.must(a.Close())
	b.sh(10, "true")
	if _, err := a.Listen("tcp", "198.18.0.2:80"); err == nil {
		t.Error("a closed sandbox listens")
	}
}
