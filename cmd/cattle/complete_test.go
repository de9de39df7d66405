package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// TestCompletion types in real shells, and presses Tab.
func TestCompletion(t *testing.T) {
	t.Parallel()
	site := released(t, typedCattle(t))
	site.tag(t, "v7.7.7")
	site.write(t, "services.yaml", "services:\n  gateway: {image: \"web:1\", expose: [\"8000\"]}\n  worker: {image: \"worker:1\"}\n")
	site.write(t, "shop.yaml", "app: blog\ndomain: blog.example.com\ncompose: services.yaml\n")
	for _, shell := range shellsToTry() {
		t.Run(shell.name, func(t *testing.T) {
			t.Parallel()
			sh := site.start(t, shell)
			for _, c := range []struct{ typed, want string }{
				{"cattle rollb", "cattle rollback "},
				{"cattle secrets rot", "cattle secrets rotate "},
				{"cattle release --dry", "cattle release --dry-run "},
				{"cattle help stat", "cattle help status "},
				{"cattle render --format is", "cattle render --format iso "},
				{"cattle release v7", "cattle release v7.7.7 "},
				{"cattle plan v1.1", "cattle plan v1.1.0 "},
				{"cattle rollback v", "cattle rollback v1.0.0 "},
				{"cattle ssh --to sta", "cattle ssh --to standby "},
				{"cattle ssh --to=sta", "cattle ssh --to=standby "},
				{"cattle exec --file shop.yaml gat", "cattle exec --file shop.yaml gateway "},
				{"cattle check --file sho", "cattle check --file shop.yaml "},
				{"cattle check --file=sho", "cattle check --file=shop.yaml "},
			} {
				sh.press(t, c.typed+"\t", strings.TrimRight(c.want, " "))
			}
		})
	}
}

// TestCompletionAsksBriefly: a cloud that does not answer keeps nobody waiting,
// and what else is known is offered.
func TestCompletionAsksBriefly(t *testing.T) {
	t.Parallel()
	site := released(t, typedCattle(t))
	site.tag(t, "v7.7.7")
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	site.box.env["DIGITALOCEAN_API_URL"] = "http://" + silent.Addr().String()
	start := time.Now()
	out, err := site.command("complete", "release", "v").CombinedOutput()
	if err != nil || string(out) != "v7.7.7\ta tag of git\n" {
		t.Errorf("it offers %q, %v", out, err)
	}
	if took := time.Since(start); took < completeWithin || took > completeWithin+2*time.Second {
		t.Errorf("it took %v", took)
	}
	for name, args := range map[string][]string{"no profile": {"exec", "--file", "none.yaml", ""}, "no such command": {"fly", "--away", ""}} {
		if out, err := site.command(append([]string{"complete"}, args...)...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: it says %q, %v", name, out, err)
		}
	}
}

// A shell is how one is started without its user's own settings, and what
// makes it complete.
type shell struct {
	name string
	args []string
	load string
}

func shellsToTry() []shell {
	return []shell{
		{"bash", []string{"--norc", "--noprofile", "-i"}, `source <(cattle completion bash)`},
		{"zsh", []string{"-f", "-i"}, `autoload -Uz compinit; compinit -u -D; source <(cattle completion zsh)`},
		{"fish", []string{"--no-config", "-i"}, `cattle completion fish | source`},
	}
}

// A shellScreen is a shell and the terminal that it draws on.
type shellScreen struct {
	tty *os.File
	vt  vt10x.Terminal
}

func (s *releasedSite) start(t *testing.T, sh shell) *shellScreen {
	t.Helper()
	path, err := exec.LookPath(sh.name)
	if err != nil {
		t.Skip(err)
	}
	cmd := s.command()
	cmd.Path, cmd.Args = path, append([]string{sh.name}, sh.args...)
	cmd.Env = append(cmd.Env, "TERM=xterm", "PS1=> ", "PATH="+filepath.Dir(s.bin)+string(os.PathListSeparator)+os.Getenv("PATH"))
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tty.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	screen := &shellScreen{tty, vt10x.New(vt10x.WithSize(100, 24), vt10x.WithWriter(tty))}
	go func() {
		part := make([]byte, 4096)
		for {
			n, err := tty.Read(part)
			screen.vt.Write(part[:n])
			if err != nil {
				return
			}
		}
	}()
	screen.press(t, sh.load+"; echo lo''aded\r", "\nloaded")
	return screen
}

// press types, waits until the screen has that, and empties the line.
func (s *shellScreen) press(t *testing.T, keys, want string) {
	t.Helper()
	if _, err := s.tty.WriteString(keys); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(s.vt.String(), want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %q the screen has no %q:\n%s", keys, want, strings.TrimSpace(s.vt.String()))
		}
	}
	s.tty.WriteString("\x15") // kill the line
}

func (s *releasedSite) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tag makes the site's folder a repository of git, with one tag.
func (s *releasedSite) tag(t *testing.T, name string) {
	t.Helper()
	for _, args := range [][]string{{"init", "--quiet"}, {"commit", "--quiet", "--allow-empty", "-m", "first"}, {"tag", name}} {
		cmd := exec.Command("git", append([]string{"-C", s.dir, "-c", "user.name=me", "-c", "user.email=me@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}
