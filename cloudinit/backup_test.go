package cloudinit

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A keptDroplet is a folder that the engine takes for a droplet. Its site has a
// database and uploads, and a backup.
type keptDroplet struct {
	t         *testing.T
	root      string
	impatient bool // restic gets 5 s to answer, and locks are stale at once
}

// onDroplets are stand-ins for programs of a droplet. Each writes down how it
// was called, restic too, before it is called really.
var onDroplets = map[string]string{
	"bin/systemctl": `echo "systemctl $*" >>$CATTLE_ROOT/calls
case " $* " in
*" start cattle-freeze.service ") CATTLE_ROOT=$CATTLE_ROOT setsid $CATTLE_ROOT/opt/cattle/state keep </dev/null >/dev/null 2>&1 & echo $! >$CATTLE_ROOT/keeper ;;
*" stop cattle-freeze.service ") kill $(cat $CATTLE_ROOT/keeper) ;;
esac`,
	"bin/systemctl-old":  `echo "systemctl $*" >>$CATTLE_ROOT/calls`,
	"bin/sendmail":       `cat >>$CATTLE_ROOT/mails`,
	"bin/docker":         `echo "docker $*" >>$CATTLE_ROOT/calls; exit 1`,
	"bin/restic":         `echo "restic $*" >>$CATTLE_ROOT/calls; exec REAL "$@"`,
	"opt/cattle/live":    `exit 0`,
	"opt/cattle/droplet": `echo "droplet $*" >>$CATTLE_ROOT/calls; tar --extract --directory=$CATTLE_ROOT`,
	"opt/cattle/compose": `echo "compose $*" >>$CATTLE_ROOT/calls`,
}

const resticPassword, accessSecret = "wonderful-password", "secret-of-the-key"

// newKept makes a droplet of the site blog. What the backup of its spec lacks
// comes from more.
func newKept(t *testing.T, repository string, more map[string]any) *keptDroplet {
	t.Helper()
	droplets(t, "python3", "restic")
	restic, _ := exec.LookPath("restic")
	d := &keptDroplet{t: t, root: t.TempDir()}
	fill := strings.NewReplacer("$CATTLE_ROOT", d.root, "REAL", restic)
	for name, text := range onDroplets {
		d.write(name, "#!/bin/bash\n"+fill.Replace(text)+"\n", 0o755)
	}
	backup := map[string]any{"repository": repository, "password": "RESTIC_PASSWORD", "calendar": []string{"*-*-* 03:30:00 UTC"},
		"keep": map[string]int{"daily": 7, "weekly": 5}, "overdue_s": 172800, "host": "blog", "mail": true}
	maps.Copy(backup, more)
	d.spec(map[string]any{"version": 1, "app": "blog", "entries": []map[string]string{
		{"name": "db", "kind": "sqlite", "path": "/srv/blog.db"}, {"name": "uploads", "kind": "files", "path": "/srv/uploads"},
	}, "backup": backup})
	d.json("run/cattle/secrets.json", map[string]string{"RESTIC_PASSWORD": resticPassword, "SPACES_KEY": "key-of-blog", "SPACES_SECRET": accessSecret})
	d.json("etc/cattle/release.json", map[string]string{"app": "blog", "release": "v1.0.0", "attempt": "0123"})
	d.write("opt/cattle/state", string(Engine()), 0o700)
	return d
}

// filled gives the droplet its first content.
func (d *keptDroplet) filled() *keptDroplet {
	d.t.Helper()
	d.insert("first")
	d.write("srv/uploads/a/photo", "of a cow", 0o640)
	d.write("etc/letsencrypt/live/cattle/fullchain.pem", "a certificate", 0o600)
	d.write("var/lib/cattle/history", "what was released\n", 0o600)
	return d
}

func (d *keptDroplet) write(name, text string, mode os.FileMode) {
	d.t.Helper()
	path := filepath.Join(d.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		d.t.Fatal(err)
	}
}

func (d *keptDroplet) read(name string) string {
	text, err := os.ReadFile(filepath.Join(d.root, name))
	if err != nil {
		return ""
	}
	return string(text)
}

func (d *keptDroplet) json(name string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		d.t.Fatal(err)
	}
	d.write(name, string(text), 0o600)
}

func (d *keptDroplet) spec(value any) { d.json("etc/cattle/state.json", value) }

// insert adds a row to the database, which goes on being open elsewhere.
func (d *keptDroplet) insert(row string) {
	d.t.Helper()
	d.sqlite("PRAGMA journal_mode=wal; CREATE TABLE IF NOT EXISTS rows (row TEXT); INSERT INTO rows VALUES ('" + row + "')")
}

func (d *keptDroplet) rows() string { return d.sqlite("SELECT row FROM rows") }

func (d *keptDroplet) sqlite(statement string) string {
	d.t.Helper()
	if err := os.MkdirAll(d.root+"/srv", 0o755); err != nil {
		d.t.Fatal(err)
	}
	out, err := exec.CommandContext(d.t.Context(), "python3", "-c", `import sqlite3, sys
link = sqlite3.connect(sys.argv[1], isolation_level=None)
print(" ".join(str(row[0]) for one in sys.argv[2].split(";") for row in link.execute(one)))`, d.root+"/srv/blog.db", statement).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *keptDroplet) command(args ...string) *exec.Cmd {
	head := []string{d.root + "/opt/cattle/state"}
	if d.impatient {
		head = []string{"-c", `import runpy, sys
sys.path.insert(0, sys.argv[1]); sys.argv = sys.argv[1:]
import restic
restic.ANSWER_WITHIN, restic.STALE_AFTER = 5, -5
runpy.run_path(sys.argv[0], run_name="__main__")`, d.root + "/opt/cattle/state"}
	}
	cmd := exec.CommandContext(d.t.Context(), "python3", append(head, args...)...)
	cmd.Env = append(os.Environ(), "CATTLE_ROOT="+d.root, "PATH="+d.root+"/bin:"+os.Getenv("PATH"), "CATTLE_TRACE=1")
	return cmd
}

// state runs a verb. Its answer is the last line, and what it failed of the code.
func (d *keptDroplet) state(args ...string) (answer map[string]any, code string) {
	d.t.Helper()
	var said strings.Builder
	cmd := d.command(args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if e := json.Unmarshal([]byte(lines[len(lines)-1]), &answer); e != nil {
		d.t.Fatalf("state %s: %v, %s%s", args, err, out, said.String())
	}
	if fault, failed := answer["error"].(map[string]any); failed {
		d.t.Logf("state %s: %v", args, fault["message"])
		d.t.Log(said.String())
		return fault, fault["code"].(string)
	}
	if err != nil {
		d.t.Fatalf("state %s: %v, %s", args, err, said.String())
	}
	return answer, ""
}

func (d *keptDroplet) must(args ...string) map[string]any {
	d.t.Helper()
	answer, code := d.state(args...)
	if code != "" {
		d.t.Fatalf("state %s: %s: %v", args, code, answer["message"])
	}
	return answer
}

func (d *keptDroplet) fails(code string, args ...string) string {
	d.t.Helper()
	answer, got := d.state(args...)
	if got != code {
		d.t.Fatalf("state %s: %q, want %q: %v", args, got, code, answer)
	}
	message := answer["message"].(string)
	for _, secret := range []string{resticPassword, accessSecret} {
		if strings.Contains(message, secret) {
			d.t.Errorf("a secret is told: %s", message)
		}
	}
	return message
}

// reasons of all backups, newest first.
func (d *keptDroplet) reasons() (out []string) {
	d.t.Helper()
	for _, one := range d.must("backups")["backups"].([]any) {
		out = append(out, one.(map[string]any)["reason"].(string))
	}
	return out
}

// brief is what `status` tells of the backups.
func (d *keptDroplet) brief() string {
	var found struct{ Backup map[string]any }
	if err := json.Unmarshal([]byte(d.read("var/lib/cattle/state/brief.json")), &found); err != nil {
		d.t.Fatal(err)
	}
	return fmt.Sprint(found.Backup["failed"], " ", found.Backup["overdue"], " ", found.Backup["last_id"])
}

// leavesNothing says that nothing of a backup is on the droplet any more, and
// that no secret was an argument.
func (d *keptDroplet) leavesNothing() {
	d.t.Helper()
	for _, pattern := range []string{"run/cattle/backup.[0-9]*", "var/lib/cattle/state/backup", "var/lib/cattle/state/restore", "var/lib/cattle/state/scratch"} {
		if left, _ := filepath.Glob(filepath.Join(d.root, pattern)); len(left) > 0 {
			d.t.Errorf("left over: %s", left)
		}
	}
	for _, secret := range []string{resticPassword, accessSecret} {
		if strings.Contains(d.read("calls"), secret) {
			d.t.Error("a secret was an argument")
		}
	}
}

// keepsAndRestores goes once through everything with a repository: beside is
// another droplet of the same site.
func keepsAndRestores(t *testing.T, d, beside *keptDroplet) {
	t.Helper()
	d.filled()
	if all := d.reasons(); len(all) != 0 {
		t.Errorf("before the first backup: %s", all)
	}
	d.fails("no-backup", "restore", "latest", "--to", d.root+"/back")
	made := d.must("backup", "asked")
	if made["files"].(float64) < 4 || made["bytes"].(float64) < 4096 || time.Since(time.UnixMilli(int64(made["at_ms"].(float64)))) > time.Minute {
		t.Errorf("made: %v", made)
	}
	if brief := d.brief(); brief != fmt.Sprint(" false ", made["id"]) {
		t.Errorf("told: %s", brief)
	}
	d.insert("second")
	d.must("backup", "scheduled")
	d.insert("third")
	d.must("backup", "discard")
	if all := fmt.Sprint(d.reasons()); all != "[discard scheduled asked]" {
		t.Errorf("the backups: %s", all)
	}
	d.must("restore", made["id"].(string), "--to", d.root+"/back")
	if photo, certificate := d.read("back/uploads/a/photo"), d.read("back/_letsencrypt/live/cattle/fullchain.pem"); photo != "of a cow" || certificate != "a certificate" {
		t.Errorf("in the folder: %q, %q", photo, certificate)
	}
	beside.write("opt/cattle/live", "#!/bin/sh\nexit 1\n", 0o755)
	beside.must("restore", "latest", "--fresh")
	if rows, photo := beside.rows(), beside.read("srv/uploads/a/photo"); rows != "first second" || photo != "of a cow" {
		t.Errorf("what came back: %q, %q", rows, photo)
	}
	if beside.read("etc/letsencrypt/live/cattle/fullchain.pem") != "a certificate" || beside.read("var/lib/cattle/history") == "" {
		t.Error("the certificate and the history did not come back")
	}
	if v := d.must("verify"); v["ok"] != true || fmt.Sprint(v["checked"]) != "[db uploads]" {
		t.Errorf("verify: %v", v)
	}
	d.leavesNothing()
	beside.leavesNothing()
}

func TestBackupInFolder(t *testing.T) {
	t.Parallel()
	repository := t.TempDir() + "/repository"
	keepsAndRestores(t, newKept(t, repository, nil), newKept(t, repository, nil))
}

// TestRestoreLive: a backup takes the place of what is live, which is a backup
// itself then; where it cannot, what was live is live again.
func TestRestoreLive(t *testing.T) {
	t.Parallel()
	droplets(t, "rsync")
	rsync, _ := exec.LookPath("rsync")
	d := newKept(t, t.TempDir()+"/repository", nil).filled()
	d.write("bin/rsync", "#!/bin/sh\n! rm "+d.root+"/breaks 2>/dev/null || exit 11\nexec "+rsync+" \"$@\"\n", 0o755)
	t.Cleanup(func() { d.command("thaw").Run() })
	first := d.must("backup", "asked")["id"].(string)
	d.insert("second")
	d.write("srv/uploads/b", "another", 0o600)
	serves := func(what, rows, file string) {
		t.Helper()
		phase, calls := d.read("var/lib/cattle/state/phase.json"), d.read("calls")
		_, opened := os.Stat(d.root + "/var/lib/cattle/state/frozen")
		if d.rows() != rows || d.read("srv/uploads/b") != file || !strings.Contains(phase, `"open"`) || opened == nil {
			t.Errorf("%s: %q, %q, %s", what, d.rows(), d.read("srv/uploads/b"), phase)
		}
		if stop, start := strings.LastIndex(calls, "systemctl stop cattle-app"), strings.LastIndex(calls, "systemctl start cattle-app"); stop < 0 || start < stop {
			t.Errorf("%s: the app was not stopped and started: %s", what, calls)
		}
		d.leavesNothing()
	}
	d.write("breaks", "", 0o600)
	d.fails("engine", "restore", first, "--live")
	serves("after a failure", "first second", "another")
	if all := fmt.Sprint(d.reasons()); all != "[discard asked]" {
		t.Errorf("the backups: %s", all)
	}
	answer := d.must("restore", first, "--live")
	serves("afterwards", "first", "")
	if all := fmt.Sprint(d.reasons()); all != "[asked discard discard asked]" {
		t.Errorf("the backups: %s", all)
	}
	d.must("restore", answer["before"].(string), "--live")
	serves("and back", "first second", "another")
}
