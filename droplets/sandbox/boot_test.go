package sandbox_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

func TestUserDataThatBootsNothing(t *testing.T) {
	good := release{version: "v1", attempt: "1", domains: []string{"a.example.com"}}
	for name, mangle := range map[string]func(string) string{
		"bad YAML":          func(s string) string { return s + "\n  - [\n" },
		"no header":         func(s string) string { return strings.TrimPrefix(s, "#cloud-config\n") },
		"a script":          func(string) string { return "#!/bin/sh\n" },
		"nothing":           func(string) string { return "" },
		"no manifest":       func(s string) string { return strings.ReplaceAll(s, "release.json", "else.json") },
		"a broken manifest": func(s string) string { return strings.Replace(s, "H4sI", "AAAA", 1) },
		"no boot script":    func(s string) string { return strings.ReplaceAll(s, "runcmd", "bootcmd") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			r.addKey()
			rel := good
			rel.mangle = mangle
			data, _ := rel.userData(t)
			d := r.create(map[string]any{"user_data": data})
			addr := r.address(d)
			sh := r.ssh(addr, nil)
			defer sh.close()
			if _, stderr, exit := sh.run("status", nil); exit != 127 || !strings.Contains(stderr, "No such file") {
				t.Error("exit", exit, stderr)
			}
			if _, err := r.Dial(t.Context(), "tcp", addr+":80"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Error("port 80:", err)
			}
			if m := r.Snapshot().Droplets[0]; m.Fault == "" {
				t.Error("nobody says why")
			}
		})
	}
}

func TestUserDataWarnings(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	rel := release{version: "v1", attempt: "1", mangle: func(s string) string { return s + "write_filez: []\n" }}
	data, _ := rel.userData(t)
	r.create(map[string]any{"user_data": data})
	if m := r.Snapshot().Droplets[0]; fmt.Sprint(m.Warnings) != "[unknown key write_filez]" || m.Fault != "" {
		t.Error(m)
	}
}

func TestSSHLogin(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.addKey()
	data, host := release{version: "v1", attempt: "1"}.userData(t)
	addr := r.address(r.create(map[string]any{"user_data": data}))
	r.ssh(addr, host).close()
	if _, err := r.trySSH(addr, "debian", host); err == nil {
		t.Error("a user who is not root got in")
	}
	if _, err := r.trySSH(addr, "root", newSigner(t).PublicKey()); err == nil {
		t.Error("the host key is not the one of user-data")
	}
	r.signer = newSigner(t)
	if _, err := r.trySSH(addr, "root", host); err == nil {
		t.Error("a key that the droplet does not know got in")
	}
}

// TestBrokenBoots wants the black box of a boot that fails.
func TestBrokenBoots(t *testing.T) {
	tests := []struct {
		name    string
		broken  sandbox.Behaviour
		key     string
		failed  string
		tail    string
		skipped string
	}{
		{"a step", sandbox.Behaviour{Kind: sandbox.FailsStep, Step: "packages"}, identity, "packages", "told", "mail nginx tidy app"},
		{"another key", sandbox.Behaviour{}, "AGE-SECRET-KEY-1OTHER\n", "secrets", "no identity matched", "mail pull app"},
		{"no key", sandbox.Behaviour{}, "", "secrets", "no key", "pull mail app"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, sandbox.Options{Latency: slowCloud()})
				defer r.Close()
				r.Break("v1", test.broken)
				_, _, sh := r.bootRelease(release{version: "v1", attempt: "1", secrets: true, domains: []string{"a.example.com"}})
				defer sh.close()
				if test.key != "" {
					sh.run("key", []byte(test.key))
				}
				out, _, exit := sh.run("journal", nil)
				failed, tail, skipped := blackBox(t, out)
				if exit != 0 || failed != test.failed+" boot" || !strings.Contains(tail, test.tail) || skipped != test.skipped {
					t.Errorf("exit %d, failed %q (%q), skipped %q:\n%s", exit, failed, tail, skipped, out)
				}
				var status struct {
					Boot   string
					Failed string `json:"failed_step"`
				}
				out, _, _ = sh.run("status", nil)
				json.Unmarshal([]byte(out), &status)
				if status.Boot != "failed" || status.Failed != test.failed {
					t.Error("status:", out)
				}
			})
		})
	}
}

func blackBox(t *testing.T, journal string) (failed, tail, skipped string) {
	t.Helper()
	var bad, left []string
	for line := range strings.Lines(journal) {
		var l struct{ Step, State, Tail string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		switch l.State {
		case "failed":
			bad = append(bad, l.Step)
			b, _ := base64.StdEncoding.DecodeString(l.Tail)
			tail += string(b)
		case "skipped":
			left = append(left, l.Step)
		}
	}
	return strings.Join(bad, " "), tail, strings.Join(left, " ")
}

// TestKeyInUserData is deliver: user-data, where nobody has to come with a key.
func TestKeyInUserData(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	key := "write_files:\n- path: /etc/cattle/age.key\n  content: |\n    " + identity
	rel := release{version: "v1", attempt: "1", secrets: true, mangle: func(s string) string { return strings.Replace(s, "write_files:\n", key, 1) }}
	data, _ := rel.userData(t)
	r.create(map[string]any{"user_data": data})
	if m := r.Snapshot().Droplets[0]; m.Boot != "ok" || fmt.Sprint(m.Secrets) != "[DATABASE_URL]" {
		t.Error(m)
	}
}

// TestBootThatIsCutOff begins anew when the power is back.
func TestBootThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		d, addr, sh := r.bootRelease(release{version: "v1", attempt: "1", domains: []string{"a.example.com"}})
		sh.close()
		time.Sleep(5 * time.Second)
		r.want(201, "POST", fmt.Sprint("/v2/droplets/", d, "/actions"), map[string]any{"type": "power_cycle"})
		time.Sleep(20 * time.Second)
		if boot := r.Snapshot().Droplets[0].Boot; boot != "running" {
			t.Error("8 s after it began anew the boot is", boot)
		}
		time.Sleep(time.Minute)
		if code, got, err := r.get("http://"+addr+"/", "a.example.com"); got != "blog v1\n" {
			t.Error(code, got, err)
		}
	})
}

func TestHangingStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		r.Break("v1", sandbox.Behaviour{Kind: sandbox.HangsStep, Step: "pull"})
		_, addr, sh := r.bootRelease(release{version: "v1", attempt: "1", domains: []string{"a.example.com"}})
		done := make(chan string)
		go func() {
			out, _, _ := sh.run("journal", nil)
			done <- out
		}()
		time.Sleep(time.Hour)
		if code, _, _ := r.get("http://"+addr+"/", "a.example.com"); code != 502 {
			t.Error("nginx without the app behind it answers", code)
		}
		sh.close()
		if out := <-done; strings.Contains(out, `"step":"boot"`) || !strings.Contains(out, `"step":"pull","state":"running"`) {
			t.Error(out)
		}
	})
}

// TestBehaviours looks at each release as a gate would.
func TestBehaviours(t *testing.T) {
	tests := []struct {
		b         sandbox.Behaviour
		now       string // what the app answers at once, and after a minute
		later     string
		live      string // through the reserved IP
		attempt   string
		port5432  bool
		firstUnit string
	}{
		{sandbox.Behaviour{Kind: sandbox.Healthy}, "200", "200", "200", "abc", false, "running"},
		{sandbox.Behaviour{Kind: sandbox.NeverHealthy}, "503", "503", "503", "abc", false, "running"},
		{sandbox.Behaviour{Kind: sandbox.FailsLater, After: time.Minute}, "200", "500", "500", "abc", false, "running"},
		{sandbox.Behaviour{Kind: sandbox.FailsLive}, "200", "200", "500", "abc", false, "running"},
		{sandbox.Behaviour{Kind: sandbox.WrongVersion}, "200", "200", "200", "0000000000000000", false, "running"},
		{sandbox.Behaviour{Kind: sandbox.Exited}, "502", "502", "502", "abc", false, "exited"},
		{sandbox.Behaviour{Kind: sandbox.OpenPort}, "200", "200", "200", "abc", true, "running"},
		{sandbox.Behaviour{Kind: sandbox.Slow}, "200", "200", "200", "abc", false, "running"},
	}
	for _, test := range tests {
		t.Run(string(test.b.Kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, sandbox.Options{})
				defer r.Close()
				r.addKey()
				r.Break("v1", test.b)
				data, host := release{version: "v1", attempt: "abc", domains: []string{"a.example.com"}}.userData(t)
				d := r.create(map[string]any{"user_data": data})
				addr := r.address(d)
				ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d}), "reserved_ip", "ip").(string)
				code := func(addr string) string {
					code, _, err := r.get("http://"+addr+"/", "a.example.com")
					if err != nil {
						return err.Error()
					}
					return fmt.Sprint(code)
				}
				began := time.Now()
				if got := code(addr); got != test.now {
					t.Error("at once:", got)
				}
				if slow := time.Since(began) >= 10*time.Second; slow != (test.b.Kind == sandbox.Slow) {
					t.Error("the answer took", time.Since(began))
				}
				time.Sleep(time.Minute)
				if got := code(addr); got != test.later {
					t.Error("later:", got)
				}
				if got := code(ip); got != test.live {
					t.Error("live:", got)
				}
				if _, got, _ := r.get("http://"+addr+"/.well-known/cattle/attempt", ""); got != test.attempt+"\n" {
					t.Error("attempt:", got)
				}
				conn, err := r.Dial(t.Context(), "tcp", addr+":5432")
				if err == nil {
					conn.Close()
				}
				if (err == nil) != test.port5432 {
					t.Error("port 5432:", err)
				}
				sh := r.ssh(addr, host)
				defer sh.close()
				if out, _, _ := sh.run("status", nil); !strings.Contains(out, `"name":"web","state":"`+test.firstUnit+`"`) {
					t.Error(out)
				}
			})
		})
	}
}

func TestParseBehaviour(t *testing.T) {
	for in, want := range map[string]string{
		"v1.2.0=never-healthy":      "v1.2.0 {never-healthy 0s  0  0}",
		"v1+a/b=fails-later:1m":     "v1+a/b {fails-later 1m0s  0  0}",
		"v1=fails-step:packages":    "v1 {fails-step 0s packages 0  0}",
		"v1=open-port:6379":         "v1 {open-port 0s  6379  0}",
		"v1=exited:137":             "v1 {exited 0s  0  137}",
		"v1=fails-step:pull:E: no":  "v1 {fails-step 0s pull 0 E: no 0}",
		"v1=hangs-step:pull:E: no":  "takes no last words",
		"v1=dance":                  "unknown kind",
		"v1=fails-step:dance":       "unknown step",
		"v1=fails-step":             "unknown step",
		"v1=slow:3":                 "takes no argument",
		"v1=fails-later:soon":       "invalid duration",
		"never-healthy":             "want RELEASE=KIND",
		"=never-healthy":            "want RELEASE=KIND",
		"v1=open-port:not-a-number": "invalid syntax",
	} {
		release, b, err := sandbox.ParseBehaviour(in)
		got := fmt.Sprint(release, " ", b)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestCertificateLimit asks for the same set of names every day.
func TestCertificateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		defer r.Close()
		r.addKey()
		r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com"})
		certify := func() (string, int) {
			data, host := release{version: "v1", attempt: "1", domains: []string{"example.com"}}.userData(t)
			d := r.create(map[string]any{"user_data": data})
			defer r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", d), nil)
			addr := r.address(d)
			record := r.want(201, "POST", "/v2/domains/example.com/records", map[string]any{"type": "A", "name": "@", "data": addr})
			defer r.want(204, "DELETE", fmt.Sprint("/v2/domains/example.com/records/", id(record, "domain_record", "id")), nil)
			sh := r.ssh(addr, host)
			defer sh.close()
			_, stderr, exit := sh.run("certify", nil)
			return stderr, exit
		}
		for n := range 5 {
			if stderr, exit := certify(); exit != 0 {
				t.Fatal("certificate", n, stderr)
			}
			time.Sleep(24 * time.Hour)
		}
		if stderr, exit := certify(); exit == 0 || !strings.Contains(stderr, "too many certificates (5)") {
			t.Error("the sixth in a week:", exit, stderr)
		}
		time.Sleep(48 * time.Hour)
		if stderr, exit := certify(); exit != 0 {
			t.Error("a week after the first:", stderr)
		}
	})
}

func TestCertificateByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		d, _, sh := r.bootRelease(release{version: "v1", attempt: "1", domains: []string{"example.com"}})
		sh.run("journal", nil)
		sh.close()
		ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d}), "reserved_ip", "ip").(string)
		time.Sleep(time.Hour)
		r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com", "ip_address": ip})
		r.want(200, "GET", "/v2/account", nil)
		time.Sleep(7 * time.Second)
		if res, err := r.HTTPClient().Get("https://example.com/"); err != nil || res.StatusCode != http.StatusOK {
			t.Error("DNS came late and no certificate did:", err)
		}
	})
}
