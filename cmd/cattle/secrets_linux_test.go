package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// A seat is somebody at a terminal, in a folder with a home and an age key.
type seat struct {
	t        *testing.T
	dir      string
	env      []string
	terminal *os.File
	screen   bytes.Buffer
	read     chan struct{}
	cmd      *exec.Cmd
}

func newSeat(t *testing.T) *seat {
	t.Helper()
	s := &seat{t: t, dir: t.TempDir()}
	for _, name := range []string{"home", "tmp", "site"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir + "/home", "TMPDIR=" + s.dir + "/tmp", "TERM=xterm"}
	return s
}

// run runs a command that needs no terminal, and returns all that it printed.
func (s *seat) run(in string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), typedCattle(s.t), args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir+"/site", s.env, strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("cattle %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// sit types a command into a terminal.
func (s *seat) sit(args ...string) {
	s.t.Helper()
	s.cmd = exec.CommandContext(s.t.Context(), typedCattle(s.t), args...)
	s.cmd.Dir, s.cmd.Env = s.dir+"/site", s.env
	var err error
	if s.terminal, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		s.t.Fatal(err)
	}
	s.read = make(chan struct{})
	go func() {
		defer close(s.read)
		s.screen.ReadFrom(s.terminal)
	}()
}

// stand waits for the command's end: its exit status, and all that was on the
// screen.
func (s *seat) stand() (exit int, screen string) {
	s.cmd.Wait()
	s.terminal.Close()
	<-s.read
	return s.cmd.ProcessState.ExitCode(), s.screen.String()
}

// types types, once the terminal has the given state of echo.
func (s *seat) types(text string, whenEcho bool) {
	s.t.Helper()
	for start := time.Now(); echoes(s.terminal) != whenEcho; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			s.t.Fatalf("echo is not %v", whenEcho)
		}
	}
	s.terminal.WriteString(text)
}

// TestTypedSecretIsNotShown: the value is asked for without echo, and an
// interrupt gives the echo back.
func TestTypedSecretIsNotShown(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	s.run("", "init", "--domain", "a.example.com", "--image", "ghcr.io/me/a")
	s.sit("secrets", "set", "DB_PASSWORD")
	s.types("canary-typed\r", false)
	exit, screen := s.stand()
	if exit != 0 || strings.Contains(screen, "canary") || !strings.Contains(screen, "value of DB_PASSWORD, not shown:") {
		t.Errorf("exit status %d:\n%s", exit, screen)
	}
	if list := s.run("", "secrets", "list"); list != "DB_PASSWORD\n" {
		t.Errorf("listed %q", list)
	}
}

func TestInterruptedWhileTyping(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	s.run("", "init")
	s.sit("secrets", "set", "DB_PASSWORD")
	s.types("canary-ty\x03", false)
	s.cmd.Wait()
	if !echoes(s.terminal) {
		t.Error("the terminal has no echo any more")
	}
	if exit, screen := s.stand(); exit != exitInterrupted || strings.Contains(screen, "canary") {
		t.Errorf("exit status %d:\n%s", exit, screen)
	}
	if _, err := os.Stat(s.dir + "/site/secrets.env"); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
}

// TestQuestionsOfInit: two at most, each again until its answer is sound.
func TestQuestionsOfInit(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	s.sit("init")
	s.terminal.WriteString("no dot\rblog.example.org\r\r")
	exit, screen := s.stand()
	if exit != 0 || strings.Count(screen, "domain [site.example.com]: ") != 2 || strings.Count(screen, "image [ghcr.io/me/site]: ") != 1 {
		t.Errorf("exit status %d:\n%s", exit, screen)
	}
	profile, err := os.ReadFile(s.dir + "/site/cattle.yaml")
	if err != nil || !bytes.Contains(profile, []byte("\ndomain: blog.example.org\n")) {
		t.Errorf("%v:\n%s", err, profile)
	}
	before := screen
	s.screen.Reset()
	s.sit("init") // all is there: nothing is asked
	if exit, screen := s.stand(); exit != 0 || strings.Contains(screen, "]:") {
		t.Errorf("exit status %d:\n%s\nbefore\n%s", exit, screen, before)
	}
}

// TestNoPlaintextOnDisk follows a canary through every verb, an editor that is
// interrupted among them: it is on no screen, in no argument, and in no file of
// the user's but where he put it.
func TestNoPlaintextOnDisk(t *testing.T) {
	t.Parallel()
	s := newSeat(t)
	const canary = "canary-4711"
	write(t, s.dir+"/site/.env", "FIRST="+canary+"\n")
	write(t, s.dir+"/home/look.sh", "tr '\\0' ' ' < /proc/$PPID/cmdline; tr '\\0' ' ' < /proc/$$/cmdline\n"+
		"echo \"in $1\"; grep -q canary \"$1\" && echo opened; echo SECOND=x >> \"$1\"\n")
	write(t, s.dir+"/home/wait.sh", "echo \"waits with $1\"; sleep 60\n")
	seen := s.run("", "init")
	seen += s.run(canary+"\n", "secrets", "set", "SECRET")
	s.env = append(s.env, "EDITOR=sh "+s.dir+"/home/look.sh")
	seen += s.run("", "secrets", "edit")
	if !strings.Contains(seen, "opened") {
		t.Fatalf("the editor did not see the value:\n%s", seen)
	}
	s.env[len(s.env)-1] = "EDITOR=sh " + s.dir + "/home/wait.sh"
	place := s.interruptEditor(canary)
	if _, err := os.Stat(place); place == "" || !os.IsNotExist(err) {
		t.Errorf("after the interrupt %q is there: %v", place, err)
	}
	for _, args := range []string{"secrets list", "secrets recipients --json", "secrets rotate --json", "secrets rm SECOND", "check", "check --json", "render -o user-data v1"} {
		seen += s.run("", strings.Fields(args)...)
	}
	if strings.Contains(seen, canary) {
		t.Errorf("it was shown:\n%s", seen)
	}
	s.searchDisk(canary)
}

// interruptEditor begins an editor, interrupts cattle once that has the text,
// and returns the file that it had.
func (s *seat) interruptEditor(text string) (path string) {
	s.t.Helper()
	s.sit("secrets", "edit")
	for start := time.Now(); path == "" && time.Since(start) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		found, _ := filepath.Glob("/dev/shm/cattle-edit-*/secrets.env")
		for _, f := range found {
			if opens(f, text) {
				path = f
			}
		}
	}
	s.cmd.Process.Signal(os.Interrupt)
	if exit, screen := s.stand(); exit != exitInterrupted {
		s.t.Errorf("exit status %d:\n%s", exit, screen)
	}
	return path
}

func opens(path, text string) bool {
	raw, err := os.ReadFile(path)
	return err == nil && bytes.Contains(raw, []byte(text))
}

// searchDisk looks through every file of the seat but the .env that it began with.
func (s *seat) searchDisk(text string) {
	s.t.Helper()
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(path) == ".env" {
			return err
		}
		files++
		raw, err := os.ReadFile(path)
		if bytes.Contains(unpacked(s.t, raw), []byte(text)) {
			s.t.Errorf("it is in %s", path)
		}
		return err
	})
	if err != nil || files < 5 {
		s.t.Errorf("searched %d files: %v", files, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// echoes tells whether a terminal shows what is typed.
func echoes(terminal *os.File) bool {
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}
