//go:build e2e

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// looked is what an operator types to look, where journald, Docker, tar and
// sshd are the real ones. It comes after the mail: that left something in logs.
func (r *rig) looked(t *testing.T) {
	t.Run("Logs", r.lookedAtLogs)
	t.Run("Exec", r.lookedInside)
	t.Run("Copies", r.copied)
	t.Run("Tunnel", r.tunnelled)
	t.Run("Follow", r.followed)
}

func (r *rig) lookedAtLogs(t *testing.T) {
	for _, c := range []struct{ args, has, hasNot string }{
		{"logs web", ` web \| .* INFO serving release=`, ` worker \|`},
		{"logs", ` worker \| .* INFO working release=`, ` nginx \|`},
		{"logs --json web", `"name":"web","line":".* INFO serving release=`, ""},
		{"logs nginx", ` nginx \| [0-9.]+ - - "GET /[^"]*" 200 `, ` web \|`},
		{"logs mail", ` mail \| postfix/smtp: [0-9A-Za-z]+: to=<owner@example.net>.* status=sent`, ` web \|`},
		{"logs cron", `(?s) cron \| digest: .*Finished cattle-cron-digest.service`, ` web \|`},
		{"logs --lines 500 boot", ` boot \| app: ok after`, ` web \|`},
		{"logs --lines 5000 system", ` system \| systemd: Started docker.service`, `INFO serving`},
		{"logs --to standby web", ` web \| .* INFO serving release=`, ""},
		{"logs --since 10h --lines 1 web worker", `there are older lines`, ` web \|.*\n.* worker \|`},
	} {
		out, exit := r.run(t, strings.Fields(c.args)...)
		if exit != exitDone || !regexp.MustCompile(c.has).MatchString(out) || c.hasNot != "" && regexp.MustCompile(c.hasNot).MatchString(out) {
			t.Errorf("cattle %s: exit status %d, wanted %q and no %q", c.args, exit, c.has, c.hasNot)
		}
	}
}

func (r *rig) lookedInside(t *testing.T) {
	if _, exit := r.run(t, "exec", "web", "/blog", "health"); exit != 0 {
		t.Error("exit status", exit)
	}
	if _, exit := r.run(t, "exec", "web", "/blog", "nonsense"); exit == 0 || exit > 125 {
		t.Error("exit status", exit)
	}
	if out, exit := r.run(t, "exec", "web", "/nothing"); exit < 126 || exit > 127 || !strings.Contains(out, "no such file") {
		t.Error("exit status", exit)
	}
	if out, exit := r.run(t, "exec", "wbe", "/blog"); exit != exitInput || !strings.Contains(out, "it has: web, worker") {
		t.Error("exit status", exit)
	}
	if out, exit := r.run(t, "ssh", "printf", "%s|", "a  b", "it's", `"$HOME"`, "*"); exit != 0 || !strings.Contains(out, `a  b|it's|"$HOME"|*|`) {
		t.Errorf("exit status %d: %q", exit, out)
	}
	if out, exit := r.run(t, "ssh", "echo a | tr a b; exit 9"); exit != 9 || !strings.Contains(out, "b\n") {
		t.Errorf("exit status %d: %q", exit, out)
	}
}

// copied goes there and back: a container of nothing but a program, and the
// droplet itself.
func (r *rig) copied(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	if err := os.MkdirAll(filepath.Join(from, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"run me": 0o750, "sub/ü": 0o604} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(name+strings.Repeat("x", 1<<20)), mode); err != nil {
			t.Fatal(err)
		}
	}
	for i, place := range []string{"web:/data/copies", "live:/root/copies"} {
		back := filepath.Join(dir, fmt.Sprint("back", i))
		for _, args := range [][]string{{"cp", from, place}, {"cp", place, back}} {
			if out, exit := r.run(t, args...); exit != 0 || !strings.Contains(out, "copied 2 files, 2.1 MB") {
				t.Errorf("exit status %d", exit)
			}
		}
		if out, err := exec.Command("diff", "--recursive", from, back).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", place, out)
		}
		for _, name := range []string{"", "run me", "sub", "sub/ü"} {
			a, _ := os.Stat(filepath.Join(from, name))
			b, err := os.Stat(filepath.Join(back, name))
			if err != nil || a.Mode() != b.Mode() || a.ModTime().Unix() != b.ModTime().Unix() {
				t.Errorf("%s: %v is %v %v", name, a, b, err)
			}
		}
		// Into what is there by now.
		if _, exit := r.run(t, "cp", filepath.Join(from, "run me"), place); exit != 0 {
			t.Error("exit status", exit)
		}
		if out, exit := r.run(t, "cp", place+"/run me", "-"); exit != 0 || !strings.Contains(out, "run mexxx") {
			t.Error("exit status", exit)
		}
	}
	live := r.member(t, "live").ID
	if out := r.mustIn(t, live, "stat --format='%U:%G %a' '/root/copies/run me' '/root/copies/sub/ü'"); out != "root:root 750\nroot:root 604" {
		t.Error(out)
	}
	// What a copy must not bring: a way out of it, and what is no file.
	r.mustIn(t, live, "cd /root/copies && ln -s /etc/passwd out && ln -s 'run me' in && mkfifo pipe")
	out, exit := r.run(t, "cp", "live:/root/copies", filepath.Join(dir, "hostile"))
	if exit != exitFailed || !strings.Contains(out, "left out") || !strings.Contains(out, "out -> /etc/passwd") || !strings.Contains(out, "pipe") {
		t.Errorf("exit status %d", exit)
	}
	if to, err := os.Readlink(filepath.Join(dir, "hostile", "in")); err != nil || to != "run me" {
		t.Errorf("%q %v", to, err)
	}
	for _, gone := range []string{"live:/nowhere", "web:/nowhere"} {
		if _, exit := r.run(t, "cp", gone, filepath.Join(dir, "x")); exit != exitFailed {
			t.Errorf("%s: exit status %d", gone, exit)
		}
	}
	r.mustIn(t, live, "rm -r /root/copies")
}

// typeIt starts a command in a process of its own.
func (r *rig) typeIt(t *testing.T, args ...string) *typed {
	t.Helper()
	p := &typed{cmd: exec.CommandContext(t.Context(), typedCattle(t), args...)}
	p.cmd.Dir, p.cmd.Env = r.dir, r.env
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *rig) tunnelled(t *testing.T) {
	p := r.typeIt(t, "ssh", "-L", "0:web:8000")
	door := regexp.MustCompile(`cattle: (127\.0\.0\.1:\d+) leads to`)
	eventually(t, "the tunnel", 20*time.Second, func() bool { return door.MatchString(p.said()) })
	res, err := http.Get("http://" + door.FindStringSubmatch(p.said())[1] + "/up")
	if err != nil || res.StatusCode != http.StatusOK {
		t.Error(res, err, p.said())
	}
	if err == nil {
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	p.signal(syscall.SIGINT)
	if exit := p.wait(); exit != exitInterrupted {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}
}

// followed loses its connections in the middle of the load's requests.
func (r *rig) followed(t *testing.T) {
	p := r.typeIt(t, "logs", "-f", "--lines", "0", "--json", "nginx", "system")
	live := r.member(t, "live").ID
	said := func(what string) func() bool {
		return func() bool { return strings.Contains(p.said(), what) }
	}
	visit := func(i int) { r.get(t, t.Context(), "GET", fmt.Sprintf("/up?looked=%d.", i), "") }
	eventually(t, "the first line", 30*time.Second, func() bool { visit(0); return said("looked=0.")() })
	n := 0
	for cut := range 3 {
		for range 10 {
			n++
			visit(n)
			r.mustIn(t, live, fmt.Sprintf("logger --tag looked line=%d.", n))
		}
		// Every login of root's ends, and with it its sessions.
		r.in(t.Context(), live, "loginctl terminate-user root")
		eventually(t, "the cut", 20*time.Second, func() bool { return strings.Count(p.said(), "was cut; trying again") > cut })
	}
	n++
	visit(n)
	r.mustIn(t, live, fmt.Sprintf("logger --tag looked line=%d.", n))
	eventually(t, "the last line", 30*time.Second, func() bool { return said(fmt.Sprintf("looked=%d.", n))() && said(fmt.Sprintf("line=%d.", n))() })
	for i := 1; i <= n; i++ {
		for _, what := range []string{"looked=%d.", "line=%d."} {
			if got := strings.Count(p.said(), fmt.Sprintf(what, i)); got != 1 {
				t.Errorf(what+" came %d times", i, got)
			}
		}
	}
	fmt.Fprintf(r.printed, "log followed through 3 cuts: %d lines, each once\n", 2*n)
	p.signal(syscall.SIGINT)
	if exit := p.wait(); exit != exitInterrupted {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}
}
