package sandbox_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// boots a droplet in virtual time and returns its address and shell.
func (r *rig) bootRelease(rel release) (int, string, *shell) {
	r.t.Helper()
	r.addKey()
	data, host := rel.userData(r.t)
	d := r.create(map[string]any{"user_data": data})
	time.Sleep(41 * time.Second)
	addr := r.address(d)
	return d, addr, r.ssh(addr, host)
}

func (r *rig) get(url, host string) (int, string, error) {
	client := r.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	if host != "" {
		req.Host = host
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestBootInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		began := time.Now()
		_, addr, sh := r.bootRelease(release{version: "v1.0.0", attempt: "4f1c0a9b8d7e6f50", secrets: true, domains: []string{"blog.example.com"}})
		defer sh.close()

		if _, _, err := r.get("http://"+addr+"/", "blog.example.com"); err == nil {
			t.Error("port 80 answers before nginx is set up")
		}
		type result struct {
			out  string
			exit int
		}
		done := make(chan result)
		go func() {
			out, _, exit := sh.run("journal", nil)
			done <- result{out, exit}
		}()
		time.Sleep(60 * time.Second)
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the boot ended without its key")
		default:
		}
		if _, stderr, exit := sh.run("key", []byte(identity)); exit != 0 {
			t.Fatal("key:", stderr)
		}
		res := <-done
		if res.exit != 0 {
			t.Fatal("journal: exit", res.exit)
		}
		checkJournal(t, res.out)
		if took := time.Since(began); took > 3*time.Minute {
			t.Error("the boot took", took)
		}

		var status struct {
			App, Release, Attempt, Boot string
			Services                    []struct{ Name, State string }
			Certificate                 *struct{ Names []string }
		}
		out, _, _ := sh.run("status", nil)
		if err := json.Unmarshal([]byte(out), &status); err != nil {
			t.Fatal(err)
		}
		if status.Boot != "ok" || status.Release != "v1.0.0" || len(status.Services) != 2 || status.Services[0].State != "running" || status.Certificate != nil {
			t.Errorf("status: %s", out)
		}
		if code, body, err := r.get("http://"+addr+"/", "blog.example.com"); code != 200 || body != "blog v1.0.0\n" {
			t.Error("app:", code, body, err)
		}
		if code, body, _ := r.get("http://"+addr+"/.well-known/cattle/attempt", ""); code != 200 || body != "4f1c0a9b8d7e6f50\n" {
			t.Error("identity:", code, body)
		}
		if _, _, err := r.get("http://"+addr+"/", "other.example.com"); err == nil {
			t.Error("an unknown host is served")
		}
		if _, _, exit := sh.run("dance", nil); exit != 64 {
			t.Error("unknown verb: exit", exit)
		}
	})
}

// checkJournal wants NDJSON in which no step starts before what it needs.
func checkJournal(t *testing.T, out string) {
	t.Helper()
	ended := map[string]bool{}
	last := int64(0)
	var state string
	for line := range strings.Lines(out) {
		var l struct {
			At          int64
			Step, State string
			Exit        *int
			MS          *int64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.At < last {
			t.Errorf("%s goes back in time", line)
		}
		last, state = l.At, l.Step+" "+l.State
		if l.State == "running" {
			if l.Exit != nil || l.Step == "app" && !(ended["pull"] && ended["secrets"] && ended["nginx"]) {
				t.Errorf("unexpected %s", line)
			}
		} else {
			ended[l.Step] = true
			if l.Exit == nil || l.MS == nil {
				t.Errorf("%s lacks exit or ms", line)
			}
		}
	}
	if state != "boot ok" {
		t.Errorf("the journal ends with %q:\n%s", state, out)
	}
}

func TestReservedIPAndCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		d, addr, sh := r.bootRelease(release{version: "v1", attempt: "1111111111111111", domains: []string{"example.com", "www.example.com"}})
		defer sh.close()
		sh.run("journal", nil)
		if _, stderr, exit := sh.run("certify", nil); exit == 0 || !strings.Contains(stderr, "NXDOMAIN") {
			t.Error("certify without DNS:", exit, stderr)
		}
		v := r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d})
		ip := dig(v, "reserved_ip", "ip").(string)
		if dig(v, "reserved_ip", "locked") != true || dig(v, "reserved_ip", "droplet") != nil {
			t.Error("a new reserved IP is not locked and empty:", v)
		}
		time.Sleep(6 * time.Second)
		if code, body, err := r.get("http://"+ip+"/", "example.com"); body != "blog v1\n" {
			t.Error("through the reserved IP:", code, body, err)
		}
		// DNS comes late, and the droplet helps itself after its hour of sulking.
		r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com", "ip_address": ip})
		r.want(201, "POST", "/v2/domains/example.com/records", map[string]any{"type": "CNAME", "name": "www", "data": "@"})
		time.Sleep(time.Second)
		if _, stderr, exit := sh.run("certify", nil); exit != 0 {
			t.Fatal("certify:", stderr)
		}
		if code, body, err := r.get("https://www.example.com/", ""); code != 200 || body != "blog v1\n" {
			t.Error("https by name:", code, body, err)
		}
		if code, _, _ := r.get("http://example.com/", ""); code != 301 {
			t.Error("http does not redirect:", code)
		}
		if code, body, _ := r.get("http://"+addr+"/.well-known/cattle/attempt", ""); code != 200 || body != "1111111111111111\n" {
			t.Error("identity is redirected:", code, body)
		}
		if n := len(r.Issued()); n != 1 {
			t.Error("certificates issued:", n)
		}
		r.handoff(t, sh)
	})
}

// handoff moves the certificate to another machine.
func (r *rig) handoff(t *testing.T, sh *shell) {
	t.Helper()
	tree, _, exit := sh.run("certificates", nil)
	if exit != 0 {
		t.Fatal("certificates: exit", exit)
	}
	data, host := release{version: "v2", attempt: "2222222222222222", domains: []string{"example.com", "www.example.com"}}.userData(t)
	d := r.create(map[string]any{"user_data": data})
	time.Sleep(41 * time.Second)
	addr := r.address(d)
	next := r.ssh(addr, host)
	defer next.close()
	next.run("journal", nil)
	empty, _, _ := next.run("certificates", nil)
	if _, err := tar.NewReader(strings.NewReader(empty)).Next(); err != io.EOF {
		t.Error("a machine without a certificate prints", err)
	}
	if _, stderr, exit := next.run("install-certificates", []byte(empty)); exit != 0 {
		t.Error("an empty tar:", stderr)
	}
	if _, stderr, exit := next.run("install-certificates", flatten(t, tree)); exit == 0 || !strings.Contains(stderr, "symlink") {
		t.Error("flattened links:", exit, stderr)
	}
	if _, stderr, exit := next.run("install-certificates", []byte(tree)); exit != 0 {
		t.Error("install-certificates:", stderr)
	}
	if again, _, _ := next.run("certificates", nil); again != tree {
		t.Error("the tree changed on its way")
	}
	var status struct{ Certificate struct{ Names []string } }
	out, _, _ := next.run("status", nil)
	json.Unmarshal([]byte(out), &status)
	if fmt.Sprint(status.Certificate.Names) != "[example.com www.example.com]" {
		t.Error("status:", out)
	}
}

// flatten replaces every link with a file, as cp -L or a zip would.
func flatten(t *testing.T, tree string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	r := tar.NewReader(strings.NewReader(tree))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeSymlink {
			h.Typeflag, h.Linkname, h.Size = tar.TypeReg, "", 0
		}
		w.WriteHeader(h)
		io.Copy(w, r)
	}
	w.Close()
	return out.Bytes()
}
