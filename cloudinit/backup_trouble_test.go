package cloudinit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cattle/droplets/sandbox/internet"
)

// s3 is a store of objects on loopback, and what a profile says of it.
func s3(t *testing.T) (*internet.Objects, string, map[string]any) {
	t.Helper()
	store := internet.NewObjects()
	store.Login("key-of-blog")
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	return store, "s3:" + server.URL + "/bucket/blog", map[string]any{"env": map[string]string{"AWS_ACCESS_KEY_ID": "SPACES_KEY", "AWS_SECRET_ACCESS_KEY": "SPACES_SECRET"}}
}

func TestBackupToS3(t *testing.T) {
	t.Parallel()
	_, repository, more := s3(t)
	keepsAndRestores(t, newKept(t, repository, more), newKept(t, repository, more))
}

func TestBackupToSFTP(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := ssh.NewSignerFromKey(key)
	files, err := internet.NewFiles()
	if err != nil {
		t.Fatal(err)
	}
	files.Login("keeper", signer.PublicKey())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop, _ := files.Serve(l)
	t.Cleanup(func() { stop() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	hostKey := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(files.HostKey())))
	on := func(private, known string) *keptDroplet {
		d := newKept(t, "sftp://keeper@127.0.0.1:"+port+"//srv/blog", map[string]any{"ssh_key": "BACKUP_SSH_KEY", "known_host": known})
		d.json("run/cattle/secrets.json", map[string]string{"RESTIC_PASSWORD": resticPassword, "BACKUP_SSH_KEY": private})
		return d
	}
	known := "[127.0.0.1]:" + port + " " + hostKey
	private := strings.TrimSpace(string(pem.EncodeToMemory(block)))
	d := on(private, known)
	keepsAndRestores(t, d, on(private, known))
	if strings.Contains(d.read("calls"), "PRIVATE KEY") {
		t.Error("the key was an argument")
	}
	other := "[127.0.0.1]:" + port + " ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJVtMTJ5cD9oB1Zq2tUkdpRnoqTTqxE7ZyR7Bo3OY0mX"
	// What ssh says of it comes too late for restic, at times.
	on(private, other).fails("repository", "backups")
	on("nonsense", known).fails("repository", "backups")
	stop()
	on(private, known).fails("repository", "backup", "asked")
}

// TestBackupRefused: what a repository refuses is told by its code, is noted,
// is mailed when nobody asked, and makes no repository.
func TestBackupRefused(t *testing.T) {
	t.Parallel()
	d := newKept(t, t.TempDir()+"/repository", nil).filled()
	kept := d.must("backup", "asked")
	d.json("run/cattle/secrets.json", map[string]string{"RESTIC_PASSWORD": "another-password"})
	for _, verb := range [][]string{{"backup", "asked"}, {"backup", "scheduled"}, {"backups"}, {"verify"}, {"restore", "latest", "--fresh"}} {
		if message := d.fails("wrong-password", verb...); strings.Contains(message, "another-password") {
			t.Errorf("a secret is told: %s", message)
		}
	}
	if brief := d.brief(); !strings.Contains(brief, "another password than RESTIC_PASSWORD") || !strings.HasSuffix(brief, fmt.Sprint("false ", kept["id"])) {
		t.Errorf("told: %s", brief)
	}
	if mails := d.read("mails"); strings.Count(mails, "Subject:") != 1 || !strings.Contains(mails, "Backup failed <blog>") || strings.Contains(mails, "another-password") {
		t.Errorf("mailed: %s", mails)
	}
	d.json("run/cattle/secrets.json", map[string]string{})
	d.fails("repository", "backup", "asked")
	d.json("run/cattle/secrets.json", map[string]string{"RESTIC_PASSWORD": resticPassword})
	if all := d.reasons(); len(all) != 1 {
		t.Errorf("the backups: %s", all)
	}
	d.fails("no-backup", "restore", "0123456789", "--fresh")
	d.fails("no-backup", "restore", "--rm", "--fresh")
	d.must("backup", "asked")
	if brief := d.brief(); !strings.HasPrefix(brief, " false") {
		t.Errorf("afterwards: %s", brief)
	}
	d.leavesNothing()
}

// TestBackupServerDown: a server that is not there, does not answer, lets nobody
// in or is full is no reason to make a repository, nor to wait for long.
func TestBackupServerDown(t *testing.T) {
	t.Parallel()
	store, repository, more := s3(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nobody.Close() })
	silent := newKept(t, "s3:http://"+nobody.Addr().String()+"/bucket/blog", more).filled()
	silent.impatient = true
	silent.fails("repository", "backup", "asked")
	silent.leavesNothing()
	refused := newKept(t, "s3:http://127.0.0.1:1/bucket/blog", more)
	refused.impatient = true
	if message := refused.fails("repository", "backups"); !strings.Contains(message, "connection refused") {
		t.Errorf("refused: %s", message)
	}
	d := newKept(t, repository, more).filled()
	d.impatient = true
	d.json("run/cattle/secrets.json", map[string]string{"RESTIC_PASSWORD": resticPassword, "SPACES_KEY": "unknown", "SPACES_SECRET": "x"})
	d.fails("repository", "backup", "asked")
	d.json("run/cattle/secrets.json", map[string]string{"RESTIC_PASSWORD": resticPassword, "SPACES_KEY": "key-of-blog", "SPACES_SECRET": accessSecret})
	if all := d.reasons(); len(all) != 0 {
		t.Errorf("the backups: %s", all)
	}
	d.must("backup", "asked")
	d.write("srv/uploads/more", noise(1<<20), 0o600)
	store.Limit(1000)
	if message := d.fails("repository", "backup", "asked"); !strings.Contains(message, "full") {
		t.Errorf("full: %s", message)
	}
	store.Limit(-1)
	if all := d.reasons(); len(all) != 1 {
		t.Errorf("the backups: %s", all)
	}
	d.must("backup", "asked")
	d.must("verify")
	d.leavesNothing()
}

func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return string(b)
}

// A stall is a store of objects that, while it stalls, takes what a backup has
// to say and never answers.
type stall struct {
	*internet.Objects
	on    atomic.Bool
	begun chan struct{}
}

func (s *stall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.on.Load() && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/data/") {
		select {
		case s.begun <- struct{}{}:
		default:
		}
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	}
	s.Objects.ServeHTTP(w, r)
}

func stalling(t *testing.T) (*stall, string, map[string]any) {
	store, _, more := s3(t)
	s := &stall{Objects: store, begun: make(chan struct{}, 1)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, "s3:" + server.URL + "/bucket/blog", more
}

// locks of the repository, by a restic of the test's own.
func (d *keptDroplet) locks(repository string) int {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), d.root+"/bin/restic", "list", "locks", "--no-lock", "--quiet")
	cmd.Env = append(os.Environ(), "CATTLE_ROOT="+d.root, "RESTIC_REPOSITORY="+repository, "RESTIC_PASSWORD="+resticPassword,
		"AWS_ACCESS_KEY_ID=key-of-blog", "AWS_SECRET_ACCESS_KEY="+accessSecret, "RESTIC_CACHE_DIR="+d.t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	return strings.Count(string(out), "\n")
}

// TestBackupLocked: the lock of a droplet that was destroyed in the middle of a
// backup does not hinder the next one, and is taken away once it is old.
func TestBackupLocked(t *testing.T) {
	t.Parallel()
	store, repository, more := stalling(t)
	d, gone := newKept(t, repository, more).filled(), newKept(t, repository, more).filled()
	d.must("backup", "asked")
	gone.write("srv/uploads/more", noise(1<<20), 0o600)
	store.on.Store(true)
	destroyed := gone.command("backup", "asked")
	if err := destroyed.Start(); err != nil {
		t.Fatal(err)
	}
	<-store.begun
	destroyed.Process.Signal(syscall.SIGSTOP) // so that it cannot tidy up after its child
	for _, pid := range children(destroyed.Process.Pid) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	destroyed.Process.Kill()
	destroyed.Wait()
	store.on.Store(false)
	if n := d.locks(repository); n != 1 {
		t.Fatalf("%d locks", n)
	}
	d.must("backup", "scheduled")
	if n := d.locks(repository); n != 1 || !strings.HasPrefix(d.brief(), " false") {
		t.Errorf("a young lock: %d, %s", n, d.brief())
	}
	d.impatient = true
	d.must("backup", "scheduled")
	if n := d.locks(repository); n != 0 {
		t.Errorf("an old lock: %d", n)
	}
	d.must("verify")
}

// children of a process, and theirs, the youngest first.
func children(of int) (out []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		var pid, parent int
		var name, state string
		text, _ := os.ReadFile(path)
		if fmt.Sscan(string(text), &pid, &name, &state, &parent); parent == of {
			out = append(out, append(children(pid), pid)...)
		}
	}
	return out
}

// TestBackupCut: a backup that is ended in the middle leaves nothing on the
// droplet, no half of one in the repository, and says that it failed.
func TestBackupCut(t *testing.T) {
	t.Parallel()
	store, repository, more := stalling(t)
	d := newKept(t, repository, more).filled()
	d.must("backup", "asked")
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d.write("srv/uploads/more", noise(1<<20), 0o600)
		store.on.Store(true)
		cut := d.command("backup", "scheduled")
		if err := cut.Start(); err != nil {
			t.Fatal(err)
		}
		<-store.begun
		restics := children(cut.Process.Pid)
		cut.Process.Signal(signal)
		cut.Wait()
		comesTo(t, func() bool { return !slices.ContainsFunc(restics, runs) })
		store.on.Store(false)
		if signal == syscall.SIGTERM {
			d.leavesNothing()
			if brief := d.brief(); !strings.HasPrefix(brief, "it was ended before it was done") {
				t.Errorf("told: %s", brief)
			}
		}
		if all := d.reasons(); slices.Contains(all, "scheduled") {
			t.Errorf("the backups: %s", all)
		}
		if n := d.locks(repository); n != 0 {
			t.Errorf("%v: %d locks", signal, n)
		}
	}
	d.must("backup", "asked")
	d.must("verify")
	d.leavesNothing()
}

func runs(pid int) bool { return syscall.Kill(pid, 0) == nil }

func comesTo(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// TestBackupsAtOnce: the second waits for the first.
func TestBackupsAtOnce(t *testing.T) {
	t.Parallel()
	d := newKept(t, t.TempDir()+"/repository", nil).filled()
	var both sync.WaitGroup
	for _, reason := range []string{"release", "asked"} {
		both.Go(func() {
			if out, err := d.command("backup", reason).CombinedOutput(); err != nil {
				t.Errorf("%s: %v, %s", reason, err, out)
			}
		})
	}
	both.Wait()
	if all := d.reasons(); len(all) != 2 {
		t.Errorf("the backups: %s", all)
	}
	d.leavesNothing()
}

// TestBackupIncomplete: a file that goes while it is read is no loss, one that
// cannot be read is: then there is no backup at all.
func TestBackupIncomplete(t *testing.T) {
	t.Parallel()
	d := newKept(t, t.TempDir()+"/repository", nil).filled()
	restic := d.read("bin/restic")
	says := func(item string) {
		d.write("bin/real", restic, 0o755)
		d.write("bin/restic", `#!/bin/bash
`+d.root+`/bin/real "$@" || exit
[[ " $* " == *" backup "* ]] || exit 0
echo '{"message_type":"error","error":{"message":"open: no"},"during":"archival","item":"`+item+`"}' >&2
exit 3
`, 0o755)
	}
	says(d.root + "/srv/uploads/gone")
	d.must("backup", "asked")
	says(d.root + "/srv/uploads/a/photo")
	d.fails("repository", "backup", "asked")
	if all := d.reasons(); len(all) != 1 {
		t.Errorf("the backups: %s", all)
	}
}

// TestBackupSchedule: the units are there for as long as the profile has a
// backup; one that is overdue is told, and mailed once.
func TestBackupSchedule(t *testing.T) {
	t.Parallel()
	d := newKept(t, t.TempDir()+"/repository", map[string]any{"overdue_s": 1}).filled()
	d.must("schedule")
	timer, service := d.read("etc/systemd/system/cattle-backup.timer"), d.read("etc/systemd/system/cattle-backup.service")
	if !strings.Contains(timer, "\nOnCalendar=*-*-* 03:30:00 UTC\n") || !strings.Contains(timer, "\nPersistent=true\n") || !strings.Contains(service, "\nExecCondition=/opt/cattle/live\n") {
		t.Errorf("the units:\n%s\n%s", timer, service)
	}
	if calls := d.read("calls"); !strings.Contains(calls, "systemctl daemon-reload\nsystemctl enable --now --quiet cattle-backup.timer cattle-backup-watch.timer\n") {
		t.Errorf("called: %s", calls)
	}
	if brief := d.brief(); brief != " false " {
		t.Errorf("at first: %s", brief)
	}
	time.Sleep(1100 * time.Millisecond)
	d.must("schedule", "watch")
	d.must("schedule", "watch")
	if brief, mails := d.brief(), d.read("mails"); brief != " true " || strings.Count(mails, "Backup overdue <blog>") != 1 {
		t.Errorf("overdue: %s, %s", brief, mails)
	}
	// Another droplet of the site made one, as far as this one can know.
	made := d.must("backup", "release")
	os.Remove(d.root + "/var/lib/cattle/state/backup.json")
	before := d.read("calls")
	d.must("schedule")
	if brief := d.brief(); !strings.HasSuffix(brief, fmt.Sprint(" ", made["id"])) {
		t.Errorf("learnt: %s", brief)
	}
	if calls := strings.TrimPrefix(d.read("calls"), before); strings.Contains(calls, "daemon-reload") {
		t.Errorf("called again: %s", calls)
	}
	d.spec(map[string]any{"version": 1, "app": "blog", "entries": []any{}})
	d.must("schedule")
	if units, _ := filepath.Glob(d.root + "/etc/systemd/system/*"); len(units) != 0 {
		t.Errorf("left: %s", units)
	}
	d.fails("no-backup", "backup", "asked")
}

// TestBackupDiskFull: the disk is looked at before anything is copied to it.
func TestBackupDiskFull(t *testing.T) {
	t.Parallel()
	d := newKept(t, t.TempDir()+"/repository", nil).filled()
	if err := os.Truncate(d.root+"/srv/blog.db", 1<<42); err != nil {
		t.Skip("no file of that size can be here")
	}
	d.fails("disk-full", "backup", "asked")
	d.leavesNothing()
}
