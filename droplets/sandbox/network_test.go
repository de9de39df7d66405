package sandbox_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"

	"golang.org/x/net/proxy"
)

// served is a cloud with one live release that has a certificate.
func served(t testing.TB, opt sandbox.Options) (r *rig, droplet int, ip string) {
	t.Helper()
	tt, _ := t.(*testing.T)
	if tt == nil {
		tt = &testing.T{}
	}
	r = newRig(tt, opt)
	r.addKey()
	data, host := release{version: "v1", attempt: "1111111111111111", domains: []string{"blog.example.com"}}.userData(tt)
	droplet = r.create(map[string]any{"user_data": data})
	ip = dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": droplet}), "reserved_ip", "ip").(string)
	r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com"})
	r.want(201, "POST", "/v2/domains/example.com/records", map[string]any{"type": "A", "name": "blog", "data": ip})
	r.ssh(ip, host).close()
	return r, droplet, ip
}

// socks serves the cloud's network on loopback.
func (r *rig) socks(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go r.ServeSOCKS(l)
	return l.Addr().String()
}

func through(t testing.TB, r *rig, addr string) *http.Client {
	t.Helper()
	d, err := proxy.SOCKS5("tcp", addr, nil, proxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.CA())
	return &http.Client{Transport: &http.Transport{DialContext: d.(proxy.ContextDialer).DialContext, TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
}

func body(res *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func TestSOCKS(t *testing.T) {
	r, _, ip := served(t, sandbox.Options{Dir: t.TempDir()})
	addr := r.socks(t)
	client := through(t, r, addr)
	if got := body(client.Get("https://blog.example.com/")); got != "blog v1\n" {
		t.Error("by name:", got)
	}
	if got := body(client.Get("http://" + ip + "/.well-known/cattle/attempt")); got != "1111111111111111\n" {
		t.Error("by address:", got)
	}
	if got := body(client.Get("https://api.digitalocean.com/v2/account")); !strings.Contains(got, "Unable to authenticate you") {
		t.Error("the API itself:", got)
	}
	for url, want := range map[string]string{
		"http://nobody.example.com/": "host unreachable",
		"http://198.18.99.99/":       "host unreachable",
		"http://" + ip + ":5432/":    "connection refused",
		"http://[2001:db8::1]/":      "host unreachable",
		"http://127.0.0.1:1/":        "host unreachable",
	} {
		if got := body(client.Get(url)); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	curl(t, r, addr)
}

// curl is a client that is not ours.
func curl(t *testing.T, r *rig, addr string) {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Log("no curl")
		return
	}
	for _, args := range [][]string{
		{"--cacert", r.CAFile(), "https://blog.example.com/"},
		{"-L", "--cacert", r.CAFile(), "http://blog.example.com/"},
	} {
		cmd := exec.Command(path, append([]string{"-sS", "--max-time", "10"}, args...)...)
		cmd.Env = []string{"ALL_PROXY=socks5h://" + addr}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "blog v1\n" {
			t.Errorf("curl %v: %v %s", args, err, out)
		}
	}
}

func TestCloseEndsSOCKS(t *testing.T) {
	r, _, _ := served(t, sandbox.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.ServeSOCKS(l) }()
	d, _ := proxy.SOCKS5("tcp", l.Addr().String(), nil, proxy.Direct)
	conn, err := d.Dial("tcp", "blog.example.com:80")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection outlives the cloud:", err)
	}
	if _, err := r.Dial(context.Background(), "tcp", "blog.example.com:80"); err == nil {
		t.Error("a closed cloud takes connections")
	}
}

func TestConnectionsStayWhereTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		defer r.Close()
		var ids []int
		for _, version := range []string{"v1", "v2"} {
			data, _ := release{version: version, attempt: version, domains: []string{"a.example.com"}}.userData(t)
			ids = append(ids, r.create(map[string]any{"user_data": data}))
		}
		ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": ids[0]}), "reserved_ip", "ip").(string)
		open := func() *bufio.ReadWriter {
			conn, err := r.Dial(t.Context(), "tcp", ip+":80")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			return bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
		}
		ask := func(c *bufio.ReadWriter) string {
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
			c.Flush()
			res, err := http.ReadResponse(c.Reader, nil)
			return body(res, err)
		}
		old := open()
		if got := ask(old); got != "blog v1\n" {
			t.Fatal(got)
		}
		r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": ids[1]})
		if got := ask(old); got != "blog v1\n" {
			t.Error("an old connection answers", got)
		}
		if got := ask(open()); got != "blog v2\n" {
			t.Error("a new connection answers", got)
		}
		r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", ids[0]), nil)
		if got := ask(old); got == "blog v1\n" {
			t.Error("a droplet that is gone still answers")
		}
	})
}

func TestPowerCycleKeepsTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		r.addKey()
		data, host := release{version: "v1", attempt: "1", secrets: true, domains: []string{"a.example.com"}}.userData(t)
		d := r.create(map[string]any{"user_data": data})
		time.Sleep(41 * time.Second)
		addr := r.address(d)
		sh := r.ssh(addr, host)
		sh.run("key", []byte(identity))
		sh.run("journal", nil)
		actions := fmt.Sprint("/v2/droplets/", d, "/actions")
		r.want(201, "POST", actions, map[string]any{"type": "power_off"})
		time.Sleep(2*time.Second + 1)
		synctest.Wait()
		if _, err := sh.client.NewSession(); err == nil {
			t.Error("an SSH connection survives the power")
		}
		if _, err := r.Dial(t.Context(), "tcp", addr+":80"); !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Error("a machine without power:", err)
		}
		r.want(201, "POST", actions, map[string]any{"type": "power_on"})
		time.Sleep(3 * time.Second)
		if _, err := r.Dial(t.Context(), "tcp", addr+":22"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Error("a machine that boots:", err)
		}
		time.Sleep(14 * time.Second)
		if code, got, err := r.get("http://"+addr+"/", "a.example.com"); got != "blog v1\n" {
			t.Error("after power on:", code, got, err)
		}
		sh = r.ssh(addr, host)
		defer sh.close()
		out, _, _ := sh.run("journal", nil)
		checkJournal(t, out)
	})
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	r, d, ip := served(t, sandbox.Options{Dir: dir})
	ca := string(r.CA())
	tag := map[string]any{"name": "kept"}
	r.want(201, "POST", "/v2/tags", tag)
	before := r.Snapshot()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.json", "ca-key.pem"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(name, info, err)
		}
	}
	again := newRig(t, sandbox.Options{Dir: dir})
	if string(again.CA()) != ca {
		t.Error("another CA after a restart")
	}
	if got := body(again.HTTPClient().Get("https://blog.example.com/")); got != "blog v1\n" {
		t.Error("after a restart:", got)
	}
	again.want(200, "GET", "/v2/tags/kept", nil)
	if at := id(again.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip", "droplet", "id"); at != d {
		t.Error("the address is at", at)
	}
	after := again.Snapshot()
	if fmt.Sprint(after.Droplets) != fmt.Sprint(before.Droplets) || len(after.Issued) != 1 {
		t.Errorf("before %v\nafter %v", before, after)
	}
	if next := again.create(nil); next <= d {
		t.Error("an id was used twice:", next)
	}
}

// TestRestartMidway closes the cloud while a droplet is made and an address moves.
func TestRestartMidway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		opt := sandbox.Options{Dir: dir, Latency: slowCloud()}
		r := newRig(t, opt)
		data, _ := release{version: "v1", attempt: "1", domains: []string{"a.example.com"}}.userData(t)
		d := r.create(map[string]any{"user_data": data})
		time.Sleep(10 * time.Second)
		r.Close()
		time.Sleep(19 * time.Second)
		r = newRig(t, opt)
		if got := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", d), nil), "droplet", "status"); got != "new" {
			t.Error("29 s after its creation it is", got)
		}
		r.Close()
		time.Sleep(5 * time.Minute)
		r = newRig(t, opt)
		defer r.Close()
		addr := r.address(d)
		if code, got, err := r.get("http://"+addr+"/", "a.example.com"); got != "blog v1\n" {
			t.Error("while the sandbox was down it booted:", code, got, err)
		}
	})
}

func BenchmarkSOCKS(b *testing.B) {
	r, _, _ := served(b, sandbox.Options{Unlimited: true})
	defer r.Close()
	client := through(b, r, r.socks(b))
	b.ResetTimer()
	for range b.N {
		if got := body(client.Get("https://blog.example.com/")); got != "blog v1\n" {
			b.Fatal(got)
		}
	}
}
