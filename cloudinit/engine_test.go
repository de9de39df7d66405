package cloudinit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// droplets have these programs; a computer that lacks one leaves the test out.
// CI installs them all.
func droplets(t testing.TB, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s, which droplets have: the engine is not run", program)
		}
	}
}

// TestEngineReads: Python finds nothing to warn of in any module.
func TestEngineReads(t *testing.T) {
	droplets(t, "python3")
	out, err := run(t, "python3", "-W", "error", "-c", `import pathlib
for file in pathlib.Path("state").rglob("*.py"): compile(file.read_text(), str(file), "exec")`)
	quiet(t, out, err)
}

// TestEnginePacks: the same bytes each time, which python3 runs.
func TestEnginePacks(t *testing.T) {
	if !bytes.Equal(Engine(), Engine()) {
		t.Fatal("packed twice, the engine is not the same")
	}
	path := t.TempDir() + "/state"
	if err := os.WriteFile(path, Engine(), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, path, "nothing")
	if err == nil || !bytes.Contains(out, []byte(`{"error": {"code": "engine"`)) {
		t.Errorf("a verb that it does not know: %v, %s", err, out)
	}
}

const engineSpec = `{"version":1,"app":"blog","entries":[
{"name":"db","kind":"sqlite","volume":"data","path":"app.db"},
{"name":"uploads","kind":"files","path":"/srv/uploads"}],
"services":["web","worker"],"servers":[],"pause":["worker"],"timers":["cattle-cron-x.timer"]}`

// A stateDroplet is a droplet as far as the engine sees one: a root of its own.
type stateDroplet struct {
	t     testing.TB
	root  string
	roots string
}

// stateDroplets are two in a folder: roots/old, which is live, and roots/new.
func stateDroplets(t testing.TB, roots string) (older, newer *stateDroplet) {
	t.Helper()
	older, newer = newStateDroplet(t, roots, "old"), newStateDroplet(t, roots, "new")
	older.makeLive()
	older.python(`import sqlite3; c = sqlite3.connect("app.db"); c.execute("CREATE TABLE rows(id INTEGER PRIMARY KEY, text)"); c.commit()`)
	for i := range 30 {
		older.write(fmt.Sprintf("/srv/uploads/%d/file", i), strings.Repeat("x", i*1000))
	}
	return older, newer
}

func newStateDroplet(t testing.TB, roots, name string) *stateDroplet {
	droplets(t, "python3", "rsync")
	t.Helper()
	d := &stateDroplet{t: t, root: filepath.Join(roots, name), roots: roots}
	for _, folder := range []string{"/opt/cattle", "/etc/cattle", "/run/cattle", "/etc/systemd/system", "/root/.ssh", "/srv/uploads", d.data()} {
		if err := os.MkdirAll(d.root+strings.TrimPrefix(folder, d.root), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.write("/opt/cattle/state", string(Engine()))
	d.write("/etc/cattle/state.json.new", engineSpec)
	d.write("/opt/cattle/live", "#!/bin/sh\n[ $(readlink "+roots+"/live) = "+name+" ]\n")
	d.write("/opt/cattle/compose", "#!/bin/sh\necho \"$@\" >>"+d.root+"/compose\n")
	d.t.Cleanup(func() { d.command("systemctl", "stop", "cattle-freeze.service").Run() })
	return d
}

func (d *stateDroplet) data() string { return d.root + "/var/lib/docker/volumes/data/_data" }

// write makes a file that may be run.
func (d *stateDroplet) write(path, content string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.root+path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.root+path, []byte(content), 0o755); err != nil {
		d.t.Fatal(err)
	}
}

func (d *stateDroplet) there(path string) bool {
	_, err := os.Stat(d.root + path)
	return err == nil
}

func (d *stateDroplet) makeLive() {
	d.t.Helper()
	os.Remove(d.roots + "/live")
	if err := os.Symlink(filepath.Base(d.root), d.roots+"/live"); err != nil {
		d.t.Fatal(err)
	}
}

// command is one with this droplet for its machine.
func (d *stateDroplet) command(name string, args ...string) *exec.Cmd {
	bin, err := filepath.Abs("testdata/engine/bin")
	if err != nil {
		d.t.Fatal(err)
	}
	if !strings.Contains(name, "/") && name != "python3" {
		name = filepath.Join(bin, name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CATTLE_ROOT="+d.root, "CATTLE_ROOTS="+d.roots,
		"CATTLE_METADATA=http://127.0.0.1:9", "CATTLE_TRACE=1")
	cmd.WaitDelay = time.Second
	return cmd
}

// python runs a few lines of it beside the database.
func (d *stateDroplet) python(lines string) string {
	d.t.Helper()
	cmd := d.command("python3", "-c", lines)
	cmd.Dir = d.data()
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// An engineAnswer is the last line of a verb's answer.
type engineAnswer struct {
	Phase      string
	Was        string
	Total      int
	EstimateMs int    `json:"estimate_ms"`
	all        string // its lines
	said       string // to people
	Error      struct{ Code, Entry, Side, Message string }
}

func (d *stateDroplet) try(stdin string, verb ...string) engineAnswer {
	d.t.Helper()
	cmd := d.command(d.root+"/opt/cattle/state", verb...)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, _ := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var answer engineAnswer
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); err != nil {
		d.t.Fatalf("%v: %q, %s", verb, out, &said)
	}
	answer.all, answer.said = string(out), said.String()
	return answer
}

// do runs a verb that has to succeed.
func (d *stateDroplet) do(verb ...string) engineAnswer {
	d.t.Helper()
	return d.succeeds("", verb...)
}

func (d *stateDroplet) succeeds(stdin string, verb ...string) engineAnswer {
	d.t.Helper()
	answer := d.try(stdin, verb...)
	if answer.Error.Code != "" {
		d.t.Fatalf("%v on %s: %+v, %s", verb, filepath.Base(d.root), answer.Error, answer.said)
	}
	return answer
}

// source is where a pull from this droplet goes.
func (d *stateDroplet) source() string {
	return `{"address":"` + filepath.Base(d.root) + `","port":22,"key":"k","host_key":"ssh-ed25519 AAAA"}`
}

// equip prepares both and copies once.
func equip(from, to *stateDroplet) {
	from.t.Helper()
	from.do("prepare")
	to.do("prepare", "--adopt")
	from.succeeds("ssh-ed25519 AAAA x\n", "lend", "600", "10.0.0.2")
	to.succeeds(from.source(), "pull", "bulk")
}

// slowly has the visitor's requests take long in an app, now and then.
func (d *stateDroplet) slowly(on bool) {
	d.t.Helper()
	if !on {
		os.Remove(d.roots + "/slow")
	} else if err := os.WriteFile(d.roots+"/slow", nil, 0o600); err != nil {
		d.t.Fatal(err)
	} else {
		time.Sleep(100 * time.Millisecond) // for one to be under way
	}
}

// handOff carries all from the live droplet to the other one.
func handOff(from, to *stateDroplet) {
	from.t.Helper()
	equip(from, to)
	from.slowly(true)
	from.do("freeze", "60")
	from.slowly(false)
	to.succeeds(from.source(), "pull", "delta")
	to.do("start", "600")
	from.do("commit", "240")
	to.makeLive()
	to.do("thaw")
	from.do("return")
}

// visitor writes rows until the test calls what this returns, which then wants
// each acknowledged row in a droplet's database, once and in order.
func visitor(t *testing.T, roots string) (check func(last *stateDroplet)) {
	t.Helper()
	acknowledged := filepath.Join(t.TempDir(), "acknowledged")
	cmd := exec.Command("python3", "testdata/engine/writer.py", roots, acknowledged)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stop := func() error {
		if err := os.WriteFile(roots+"/stop", nil, 0o600); err != nil {
			return err
		}
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { stop() })
	return func(last *stateDroplet) {
		t.Helper()
		time.Sleep(100 * time.Millisecond) // for some rows after the last change
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(acknowledged)
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Fields(string(text))
		if len(rows) < 20 {
			t.Errorf("the visitor got %d rows in", len(rows))
		}
		found := strings.Fields(last.python(`import sqlite3
for row, in sqlite3.connect("app.db").execute("SELECT id FROM rows ORDER BY id"): print(row)`))
		// One more may be there: committed, and the visitor was stopped before he knew.
		if len(found) < len(rows) || strings.Join(found[:len(rows)], " ") != strings.Join(rows, " ") {
			t.Errorf("%d rows were acknowledged, %d are there", len(rows), len(found))
		}
	}
}

// TestStateIsCarried hands an app to and fro while a visitor writes, in both ways
// that SQLite keeps its journal.
func TestStateIsCarried(t *testing.T) {
	for _, journal := range []string{"WAL", "DELETE"} {
		t.Run(journal, func(t *testing.T) {
			roots := t.TempDir()
			a, b := stateDroplets(t, roots)
			a.python(`import sqlite3; sqlite3.connect("app.db").execute("PRAGMA journal_mode=` + journal + `")`)
			check := visitor(t, roots)
			handOff(a, b)
			b.write("/srv/uploads/new", "file")
			os.RemoveAll(b.root + "/srv/uploads/3")
			time.Sleep(50 * time.Millisecond)
			handOff(b, a)
			if !a.there("/srv/uploads/new") || a.there("/srv/uploads/3") || !a.there("/srv/uploads/29/file") {
				t.Error("the uploads are not what they were on the other droplet")
			}
			check(a)
		})
	}
}
