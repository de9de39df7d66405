package cloudinit

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wants wants a verb to fail of something, and soon.
func (d *stateDroplet) wants(code, entry, stdin string, verb ...string) {
	d.t.Helper()
	began := time.Now()
	answer := d.try(stdin, verb...)
	if answer.Error.Code != code || answer.Error.Entry != entry {
		d.t.Errorf("%v fails of %+v, want %s of %q: %s", verb, answer.Error, code, entry, answer.said)
	}
	if took := time.Since(began); took > 5*time.Second {
		d.t.Errorf("%v told so after %v", verb, took)
	}
}

// until waits for something to be so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in vain waited for: " + what)
		}
	}
}

func (d *stateDroplet) frozen() bool { return d.there("/var/lib/cattle/state/frozen") }

// locked tells whether the database takes a write.
func (d *stateDroplet) locked() bool {
	return d.python(`import sqlite3
try:
	c = sqlite3.connect("app.db", timeout=0); c.execute("BEGIN IMMEDIATE"); print("no")
except sqlite3.OperationalError: print("yes")`) == "yes"
}

// TestFreezeLapses: nobody thaws, and the droplet does so itself.
func TestFreezeLapses(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	equip(old, next)
	next.wants("not-frozen", "", old.source(), "pull", "delta")
	old.do("freeze", "30")
	old.do("freeze", "1.5")
	if !old.frozen() || !old.locked() {
		t.Error("frozen, it takes writes")
	}
	until(t, "the end of the lease", func() bool { return !old.frozen() })
	if old.locked() {
		t.Error("thawed, the database takes no write")
	}
	old.wants("lapsed", "", "", "commit", "1")
	next.wants("not-frozen", "", old.source(), "pull", "delta")
	started, _ := os.ReadFile(old.root + "/systemctl")
	paused, _ := os.ReadFile(old.root + "/compose")
	if !strings.Contains(string(started), "start cattle-cron-x.timer") || !strings.Contains(string(paused), "start worker") {
		t.Errorf("what was paused is not started: %s %s", started, paused)
	}
}

// TestAttended: the line of whoever froze it ends, and the droplet does not wait
// for the end of its lease.
func TestAttended(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	equip(old, next)
	line, end := old.attend(t)
	old.do("freeze", "60")
	end()
	until(t, "the thaw", func() bool { return !old.frozen() })
	old.wants("lapsed", "", "", "commit", "1")
	line.Wait()

	_, end = old.attend(t)
	old.do("freeze", "60")
	old.do("commit", "60")
	end()
	time.Sleep(2 * time.Second)
	if !old.frozen() {
		t.Error("committed, it opened with the end of the line")
	}
	old.do("thaw")
}

// TestLeft: who was left for another droplet stays frozen, and lets its app's
// own writes go; who is live after all holds them.
func TestLeft(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	equip(old, next)
	old.do("freeze", "60")
	old.do("commit", "60")
	old.do("return")
	time.Sleep(time.Second)
	if !old.frozen() || !old.locked() {
		t.Error("live, it lets writes go")
	}
	next.makeLive()
	old.do("return")
	time.Sleep(time.Second)
	if !old.locked() {
		t.Error("left just now, it lets writes go that somebody waits for")
	}
	later := old.root + "/var/lib/cattle/state/left.json"
	text, err := os.ReadFile(later)
	if err != nil {
		t.Fatal(err)
	}
	old.write("/var/lib/cattle/state/left.json", regexp.MustCompile(`"at_ms": \d+`).ReplaceAllString(string(text), `"at_ms": 1`))
	until(t, "the data to be let go", func() bool { return !old.locked() })
	if !old.frozen() {
		t.Error("left, it takes visitors' writes")
	}
	old.do("freeze", "60")
	if !old.locked() {
		t.Error("frozen again, its data is not held")
	}
	old.do("thaw")
}

// attend begins a line; end hangs up.
func (d *stateDroplet) attend(t *testing.T) (line *exec.Cmd, end func()) {
	t.Helper()
	line = d.command(d.root+"/opt/cattle/state", "attend")
	in, _ := line.StdinPipe()
	out, _ := line.StdoutPipe()
	if err := line.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(said, "attending") {
		t.Fatal(said, err)
	}
	return line, func() { in.Close() }
}

// TestCommittedStaysFrozen for as long as visitors go elsewhere.
func TestCommittedStaysFrozen(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	old.do("prepare")
	old.do("freeze", "2")
	old.do("commit", "0.3")
	next.makeLive()
	time.Sleep(2 * time.Second)
	if !old.frozen() || !old.locked() {
		t.Error("it opened though visitors go to the other one")
	}
	// After a reboot: nothing runs any more, memory is empty, and systemd starts the unit.
	old.command("systemctl", "stop", "cattle-freeze.service").Run()
	until(t, "the end of the keeper", func() bool { return !old.locked() })
	os.RemoveAll(old.root + "/run/cattle")
	old.command("systemctl", "start", "cattle-freeze.service").Run()
	until(t, "the hold after a reboot", old.locked)
	old.do("thaw")
	if old.frozen() || old.locked() {
		t.Error("thawed, it takes no write")
	}
	old.do("freeze", "2")
	old.makeLive()
	old.do("commit", "0.1")
	until(t, "its opening where visitors come", func() bool { return !old.frozen() })
}

// TestVerbsTwice: each may be said again.
func TestVerbsTwice(t *testing.T) {
	roots := t.TempDir()
	old, next := stateDroplets(t, roots)
	check := visitor(t, roots)
	equip(old, next)
	equip(old, next)
	keys, _ := os.ReadFile(old.root + "/root/.ssh/authorized_keys")
	if strings.Count(string(keys), "cattle-handoff") != 1 || !strings.HasPrefix(string(keys), "restrict,expiry-time=") {
		t.Errorf("the keys are %s", keys)
	}
	twice := func(d *stateDroplet, stdin string, verb ...string) {
		d.succeeds(stdin, verb...)
		d.succeeds(stdin, verb...)
	}
	twice(old, "", "freeze", "60")
	twice(next, old.source(), "pull", "delta")
	twice(next, "", "start", "60")
	twice(old, "", "commit", "60")
	next.makeLive()
	twice(next, "", "thaw")
	twice(old, "", "return")
	if keys, _ := os.ReadFile(old.root + "/root/.ssh/authorized_keys"); len(keys) != 0 {
		t.Errorf("returned, the keys are %s", keys)
	}
	check(next)
	if total := next.do("writes").Total; total == 0 {
		t.Error("no writes are told of")
	}
	next.wants("engine", "", old.source(), "pull", "bulk") // visitors come to it
	old.makeLive()
	next.wants("cut", "", old.source(), "pull", "bulk") // nothing is lent any more
}

// killed starts a verb and kills it after a while.
func (d *stateDroplet) killed(after time.Duration, stdin string, verb ...string) {
	d.t.Helper()
	cmd := d.command(d.root+"/opt/cattle/state", verb...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	time.Sleep(after)
	// All of its kind but the keeper, which is systemd's.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		d.t.Fatal(err)
	}
	cmd.Wait()
}

// TestKilledVerbs: each verb is killed at some moment, and said again.
func TestKilledVerbs(t *testing.T) {
	roots := t.TempDir()
	old, next := stateDroplets(t, roots)
	old.python(`import sqlite3; sqlite3.connect("app.db").execute("PRAGMA journal_mode=WAL")`)
	check := visitor(t, roots)
	old.do("prepare")
	next.do("prepare", "--adopt")
	old.succeeds("ssh-ed25519 AAAA x\n", "lend", "600", "10.0.0.2")
	kill := func(d *stateDroplet, stdin string, verb ...string) {
		after := time.Duration(rand.IntN(300)) * time.Millisecond
		t.Logf("killed after %v: %v", after, verb)
		d.killed(after, stdin, verb...)
	}
	kill(next, old.source(), "pull", "bulk")
	next.succeeds(old.source(), "pull", "bulk")
	for range 3 {
		kill(old, "", "freeze", "60")
		kill(old, "", "thaw")
	}
	kill(old, "", "freeze", "60")
	old.do("freeze", "60")
	for range 3 {
		kill(next, old.source(), "pull", "delta")
	}
	next.succeeds(old.source(), "pull", "delta")
	kill(next, "", "start", "60")
	next.do("start", "60")
	old.do("commit", "60")
	next.makeLive()
	kill(next, "", "thaw")
	next.do("thaw")
	check(next)
}

// TestDiskFull: told before it happens, and when it does.
func TestDiskFull(t *testing.T) {
	roots := t.TempDir()
	if err := os.Mkdir(roots+"/new", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", roots+"/new", "tmpfs", 0, "size=12m"); err != nil {
		if os.Geteuid() != 0 {
			t.Skip("not root: no small file system can be mounted")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(roots+"/new", syscall.MNT_DETACH) })
	old, next := stateDroplets(t, roots)
	grow := `import os, sqlite3
c = sqlite3.connect("app.db")
c.executemany("INSERT INTO rows(text) VALUES(?)", ((os.urandom(5000).hex(),) for _ in range(%d)))
c.commit()`
	old.python(fmt.Sprintf(grow, 200))
	equip(old, next)
	old.python(fmt.Sprintf(grow, 1400))
	next.wants("disk-full", "db", old.source(), "pull", "bulk")
	old.do("freeze", "60")
	next.wants("disk-full", "db", old.source(), "pull", "delta")
	old.do("thaw")
	if old.frozen() || old.locked() || old.python(`import sqlite3
print(sqlite3.connect("app.db").execute("SELECT count(*) FROM rows").fetchone()[0])`) != "1600" {
		t.Error("the old droplet is not as it was")
	}
	if next.there("/var/lib/cattle/state/stage/db/db") {
		t.Error("half of a copy was left behind")
	}
	// With uploads that have no room instead.
	old.python(`import sqlite3; c = sqlite3.connect("app.db"); c.execute("DELETE FROM rows"); c.commit(); c.execute("VACUUM")`)
	equip(old, next)
	for i := range 15 {
		old.write(fmt.Sprintf("/srv/uploads/large%d", i), strings.Repeat("y", 1<<20))
	}
	old.do("freeze", "60")
	next.wants("disk-full", "uploads", old.source(), "pull", "delta")
	old.do("thaw")
}

// TestCut: the connection ends at once, or in the midst of a copy, which goes on
// where it was as soon as there is one again.
func TestCut(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	old.python(`import os, sqlite3
c = sqlite3.connect("app.db")
c.executemany("INSERT INTO rows(text) VALUES(?)", ((os.urandom(5000).hex(),) for _ in range(300)))
c.commit()`)
	equip(old, next)
	old.do("freeze", "60")
	for _, bytes := range []string{"0", "300", "3000"} {
		old.write("/cut", bytes)
		answer := next.try(old.source(), "pull", "delta")
		if answer.Error.Code != "cut" {
			t.Errorf("cut after %s bytes: %+v", bytes, answer.Error)
		}
	}
	os.Remove(old.root + "/cut")
	old.write("/unreachable", "")
	next.wants("cut", "", old.source(), "pull", "delta")
	os.Remove(old.root + "/unreachable")
	next.succeeds(old.source(), "pull", "delta")
	next.do("start", "60")
}

// TestNothingThereYet: what no app has made begins empty on the new droplet, and
// what the live one was never told of is carried if it is there.
func TestNothingThereYet(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	os.Remove(old.data() + "/app.db")
	os.RemoveAll(old.root + "/srv/uploads")
	old.write("/etc/cattle/state.json", `{"version":1,"app":"blog","entries":[{"name":"db","kind":"sqlite","volume":"data","path":"app.db"}]}`)
	added := strings.Replace(engineSpec, `"entries":[`, `"entries":[{"name":"added","kind":"files","path":"/srv/added"},`, 1)
	old.write("/etc/cattle/state.json.new", added)
	next.write("/etc/cattle/state.json.new", added)
	old.write("/srv/added/file", "content")
	handOff(old, next)
	if !next.there("/srv/added/file") || next.there("/srv/uploads/0") || next.frozen() {
		t.Error("the new droplet is not as the old one")
	}
	if total := next.do("writes").Total; total != 0 {
		t.Errorf("%d writes are told of", total)
	}
}
