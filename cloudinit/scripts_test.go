package cloudinit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a static file of the droplet, run where it lies.
func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("templates/opt/cattle/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

type entry struct {
	At    int64
	Step  string
	State string
	Exit  *int
	Ms    *int64
	Tail  *string
}

// boot runs steps with the droplet's own scheduler: the status and the journal.
func boot(t *testing.T, steps string) (int, []entry, string) {
	t.Helper()
	dir := t.TempDir()
	head := "set -euo pipefail\nboot_run=" + dir + "/run boot_logs=" + dir + "/log boot_journal=" + dir + "/var/journal boot_redact=cat\n"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", head+". "+script(t, "scheduler")+"\n"+steps+"\nrun_steps\nexit \"$boot_status\"\n")
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	if out, _ := cmd.CombinedOutput(); len(out) > 0 {
		t.Logf("bash: %s", out)
	}
	text, err := os.ReadFile(dir + "/var/journal")
	if err != nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), entries(t, string(text)), dir
}

func entries(t *testing.T, text string) []entry {
	t.Helper()
	var out []entry
	for line := range strings.Lines(text) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, e)
	}
	return out
}

// at is where in the journal a step came to a state, -1 if it never did.
func at(journal []entry, step, state string) int {
	return slices.IndexFunc(journal, func(e entry) bool { return e.Step == step && e.State == state })
}

func TestSchedulerOrder(t *testing.T) {
	status, journal, _ := boot(t, `
do_a() { sleep 0.05; }
do_b() { :; }
do_c() { :; }
step c a b undeclared
step b a
step a`)
	for _, pair := range [][2]string{{"a", "b"}, {"b", "c"}, {"c", "boot"}} {
		if end := at(journal, pair[0], "ok"); end < 0 || end > max(at(journal, pair[1], "running"), at(journal, pair[1], "ok")) {
			t.Errorf("%s did not end before %s began: %+v", pair[0], pair[1], journal)
		}
	}
	if last := journal[len(journal)-1]; status != 0 || last.Step != "boot" || last.State != "ok" || *last.Exit != 0 || *last.Ms < 50 || last.At < 1e12 {
		t.Errorf("status %d, last line %+v", status, last)
	}
}

// Each of two steps waits for the other to have begun.
func TestSchedulerParallel(t *testing.T) {
	status, journal, _ := boot(t, `
meet() { touch "$1"; for ((i = 0; i < 500; i++)); do [[ ! -e $2 ]] || return 0; sleep 0.01; done; return 1; }
do_a() { meet a b; }
do_b() { meet b a; }
step a
step b`)
	if status != 0 {
		t.Errorf("they did not run at the same time: %+v", journal)
	}
}

func TestSchedulerFailure(t *testing.T) {
	status, journal, dir := boot(t, `
do_bad() { seq 1 30; printf 'a "quoted" last line\n'; false; echo unreachable; }
do_slow() { sleep 0.2; }
do_never() { touch never; }
step bad
step slow
step next bad
step never next slow
step after slow
do_after() { :; }`)
	bad := journal[max(0, at(journal, "bad", "failed"))]
	if status == 0 || bad.Tail == nil || *bad.Exit != 1 {
		t.Fatalf("status %d, %+v", status, bad)
	}
	tail, err := base64.StdEncoding.DecodeString(*bad.Tail)
	if lines := strings.Split(strings.TrimSpace(string(tail)), "\n"); err != nil || len(lines) != 20 ||
		lines[0] != "12" || lines[19] != `a "quoted" last line` {
		t.Errorf("tail %q, %v", tail, err)
	}
	for step, state := range map[string]string{"next": "skipped", "never": "skipped", "slow": "ok", "after": "ok", "boot": "failed"} {
		if at(journal, step, state) < 0 {
			t.Errorf("step %s is not %s: %+v", step, state, journal)
		}
	}
	if _, err := os.Stat(dir + "/never"); err == nil {
		t.Error("a skipped step ran")
	}
	if log, _ := os.ReadFile(dir + "/log/bad.log"); !strings.HasPrefix(string(log), "1\n2\n") {
		t.Errorf("log %q", log)
	}
	for _, path := range []string{"/var/journal", "/log/bad.log"} {
		if info, err := os.Stat(dir + path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
}

// A step that is killed, or that leaves a daemon behind, ends all the same.
func TestSchedulerKilledAndDaemon(t *testing.T) {
	status, journal, _ := boot(t, `
do_killed() { kill -9 "$BASHPID"; }
do_daemon() { setsid sleep 20 & }
step killed
step daemon`)
	killed := journal[max(0, at(journal, "killed", "failed"))]
	if status == 0 || killed.Exit == nil || *killed.Exit != 137 || at(journal, "daemon", "ok") < 0 {
		t.Errorf("status %d: %+v", status, journal)
	}
	if total := *journal[len(journal)-1].Ms; total > 10_000 {
		t.Errorf("the boot waited %d ms for the daemon", total)
	}
}

// odd are values that quoting gets wrong.
func odd() map[string]string {
	return map[string]string{"DOLLAR": "a$b ${HOME} $$", "QUOTES": `it's "so" \n`, "LINES": "one\ntwo\n", "SPACES": "  x  ",
		"EMPTY": "", "HASH": "a#b", "UNICODE": "pässwörd ☃", "BACKTICK": "`id`"}
}

func TestWithSecrets(t *testing.T) {
	dir := t.TempDir()
	text, _ := json.Marshal(odd())
	if err := os.WriteFile(dir+"/secrets.json", text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script(t, "with-secrets"), "python3", "-c", "import json, os; print(json.dumps(dict(os.environ)))")
	cmd.Env = append(os.Environ(), "CATTLE_RUN="+dir, "KEPT=yes")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for name, value := range odd() {
		if got[name] != value {
			t.Errorf("%s arrived as %q, not %q", name, got[name], value)
		}
	}
	if got["KEPT"] != "yes" {
		t.Error("the environment that was there is gone")
	}
}

func TestRedact(t *testing.T) {
	dir := t.TempDir()
	text, _ := json.Marshal(map[string]string{"A": "hunter22", "B": "hunter22-and-more", "C": "first line\nsecond line", "D": "a"})
	if err := os.WriteFile(dir+"/secrets.json", text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script(t, "redact"))
	cmd.Env = append(os.Environ(), "CATTLE_RUN="+dir)
	cmd.Stdin = strings.NewReader("a hunter22-and-more hunter22 \xff\nsecond line of first line\n")
	out, err := cmd.Output()
	if want := "a [secret] [secret] \xff\n[secret] of [secret]\n"; err != nil || string(out) != want {
		t.Errorf("%q, %v", out, err)
	}
}

// TestUnseal runs the real script with a sops that prints what it is given.
func TestUnseal(t *testing.T) {
	run, etc := t.TempDir(), t.TempDir()
	put := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(etc+"/"+name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("sops", "#!/bin/sh\n[ \"$SOPS_AGE_KEY_FILE\" = "+etc+"/age.key ] && [ \"$3$5\" = yamljson ] && cat \"$6\"\n", 0o755)
	put("secrets.sops", `{"USER": "me", "PASSWORD": "p$a:s's \"w\"", "NUMBER": 1.10, "YES": true, "ADMINS": "ann:one\nbob:two:three\n"}`, 0o600)
	put("uses.json", `{"format":"yaml","mail":{"relayhost":"[smtp.x]:2525","username":"${USER}","password":"${PASSWORD}"},
		"auth":["${ADMINS}"],"registry":[{"server":"ghcr.io","username":"me","password":"${PASSWORD}"}]}`, 0o600)
	cmd := exec.Command(script(t, "unseal"))
	cmd.Env = append(os.Environ(), "CATTLE_RUN="+run, "CATTLE_ETC="+etc, "CATTLE_SOPS="+etc+"/sops")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(run + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	secrets := map[string]string{}
	if err := json.Unmarshal([]byte(read("secrets.json")), &secrets); err != nil || secrets["NUMBER"] != "1.10" || secrets["YES"] != "true" {
		t.Errorf("%v, %v", secrets, err)
	}
	if got := read("sasl_passwd"); got != "[smtp.x]:2525 me:p$a:s's \"w\"\n" {
		t.Errorf("sasl_passwd is %q", got)
	}
	lines := strings.Split(read("htpasswd-0"), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "ann:$6$") || !strings.HasPrefix(lines[1], "bob:$6$") {
		t.Errorf("htpasswd is %q", lines)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("me:p$a:s's \"w\""))
	if got := read("docker/config.json"); !strings.Contains(got, `{"ghcr.io": {"auth": "`+auth+`"}}`) {
		t.Errorf("docker's configuration is %s", got)
	}
	if info, err := os.Stat(run + "/secrets.json"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestUnknownVerb(t *testing.T) {
	cmd := exec.Command(script(t, "droplet"), "reboot")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 64 || !strings.Contains(string(out), "no such verb: reboot") {
		t.Errorf("exit status %d: %s", code, out)
	}
}

// TestHistoryVerbs runs record and history on a folder of the test's: what is
// given is kept as it is, and what is oldest goes first. The rest of the
// contract is cloudtest's.
func TestHistoryVerbs(t *testing.T) {
	state := t.TempDir()
	text, err := os.ReadFile(script(t, "droplet"))
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.Replace(string(text), "STATE=/var/lib/cattle\n", "STATE="+state+"\n", 1)
	verb := func(name, in string) (string, int) {
		cmd := exec.Command("bash", "-c", moved, "droplet", name)
		cmd.Stdin = strings.NewReader(in)
		out, _ := cmd.Output()
		return string(out), cmd.ProcessState.ExitCode()
	}
	says := func(want string) {
		t.Helper()
		if got, exit := verb("history", ""); got != want || exit != 0 {
			t.Errorf("exit status %d: %q, want %q", exit, got, want)
		}
	}
	says("{}\n")
	for _, in := range []string{"", "x\n", "{}\nx\n"} {
		if out, exit := verb("record", in); exit != 1 || out != "" {
			t.Errorf("%q: exit status %d, %q", in, exit, out)
		}
	}
	const odd = `{"by":"$(reboot) é ' \" \\n %s"}`
	if out, exit := verb("record", odd+"\n{\"m\":1}\n"); out != "recorded\n" || exit != 0 {
		t.Errorf("exit status %d, %q", exit, out)
	}
	verb("record", `{"n":2}`)
	says("{\"m\":1}\n" + odd + "\n{\"n\":2}\n")
	if info, err := os.Stat(state + "/history"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for i := range 3 {
		verb("record", fmt.Sprintf(`{"n":%d,"é":%q}`, i, strings.Repeat("x", 120<<10)))
	}
	if out, _ := verb("history", ""); strings.Count(out, "\n") != 3 || len(out) > 256<<10+20 || !strings.Contains(out, `{"n":1,`) {
		t.Errorf("of 360 KiB there are %d", len(out))
	}
}

// logLine is one of nginx's, as nginx.conf has it written.
func logLine(at time.Time, request string, status int, agent string) string {
	return fmt.Sprintf("203.0.113.9 - - [%s] \"%s\" %d 12 \"-\" \"%s\" blog.example.com 5f 0.001 0.001\n",
		at.Format("02/Jan/2006:15:04:05 -0700"), request, status, agent)
}

// traffic runs the real script on a log, and on the one before it, beside a
// docker that prints what it is given.
func traffic(t *testing.T, log, rotated, docker string) (out struct {
	Window, Requests, Errors int
	Containers               []map[string]any
}) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"access.log": log, "access.log.1": rotated, "release.json": `{"app":"blog"}`,
		"docker": "#!/bin/sh\n[ \"$1\" = inspect ] && cat <<'E' || echo 1f2e\n" + docker + "E\n"} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(script(t, "traffic"))
	cmd.Env = append(os.Environ(), "CATTLE_LOG="+dir+"/access.log", "CATTLE_ETC="+dir, "PATH="+dir+":"+os.Getenv("PATH"))
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

func TestTraffic(t *testing.T) {
	now := time.Now()
	line := func(ago time.Duration, status int) string {
		return logLine(now.Add(-ago), "GET / HTTP/1.1", status, "curl")
	}
	hostile := logLine(now.Add(-time.Minute), `GET /\x22 500 12 [01/Jan/2001:00:00:00 +0000] HTTP/1.1`, 200, `cattle\x22 `)
	recent := line(9*time.Minute, 200) + line(8*time.Minute, 500) + line(time.Minute, 404) + line(time.Second, 502)
	tests := []struct {
		name             string
		log, rotated     string
		requests, errors int
	}{
		{"no log", "", "", 0, 0},
		{"old alone", strings.Repeat(line(11*time.Minute, 500), 50), "", 0, 0},
		{"recent alone", recent, "", 4, 2},
		{"recent after old", strings.Repeat(line(time.Hour, 500), 999) + recent, "", 4, 2},
		{"one line", line(time.Second, 500), "", 1, 1},
		{"one old line", line(time.Hour, 500) + line(time.Second, 500), "", 1, 1},
		{"rotated a minute ago", line(time.Second, 500), strings.Repeat(line(time.Hour, 500), 99) + line(time.Minute, 200), 2, 1},
		{"rotated now", "", recent, 4, 2},
		{"what visitors may write", hostile, "", 1, 0},
		{"the operator's checks", recent + logLine(now, "GET /up HTTP/1.1", 500, "cattle"), "", 4, 2},
		{"a torn line", recent + "203.0.113.9 - - [", "", 4, 2},
		{"another zone", logLine(now.Add(-time.Minute).In(time.FixedZone("", -5*3600)), "GET / HTTP/1.1", 500, "x"), "", 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := traffic(t, tt.log, tt.rotated, ""); got.Requests != tt.requests || got.Errors != tt.errors || got.Window != 600 {
				t.Errorf("%d of %d, want %d of %d", got.Errors, got.Requests, tt.errors, tt.requests)
			}
		})
	}
}

func TestTrafficContainers(t *testing.T) {
	made := time.Now().Add(-90 * time.Second).UTC().Format("2006-01-02T15:04:05.999999999Z")
	got := traffic(t, "", "", `{"name":"web","state":"running","exit":0,"health":"","restarts":3,"created":"`+made+`"}`+"\n")
	if len(got.Containers) != 1 {
		t.Fatalf("%+v", got)
	}
	one := got.Containers[0]
	if age := one["age"].(float64); one["name"] != "web" || one["state"] != "running" || one["restarts"] != 3.0 || age < 90 || age > 120 || one["created"] != nil {
		t.Errorf("%+v", one)
	}
}

// TestTrafficOfALargeLog: a log of 60 MB is not read, but looked into.
func TestTrafficOfALargeLog(t *testing.T) {
	now := time.Now()
	old := strings.Repeat(logLine(now.Add(-time.Hour), "GET / HTTP/1.1", 200, "curl"), 500_000)
	start := time.Now()
	got := traffic(t, old+strings.Repeat(logLine(now, "GET / HTTP/1.1", 500, "curl"), 1000), "", "")
	if got.Requests != 1000 || got.Errors != 1000 {
		t.Errorf("%d of %d", got.Errors, got.Requests)
	}
	t.Logf("%d MB, with writing it: %s", len(old)>>20, time.Since(start))
	// More than it reads of recent lines: it counts the latest.
	busy := strings.Repeat(logLine(now, "GET / HTTP/1.1", 200, "curl"), 300_000)
	if got = traffic(t, busy, "", ""); got.Requests < 100_000 || got.Requests >= 300_000 {
		t.Errorf("%d requests of a busy log", got.Requests)
	}
}
