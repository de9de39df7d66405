package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"cattle/droplets/sandbox"
)

// TestNothingMovesTheCursor runs every verb while the cloud, and the droplets,
// say what no terminal should be given, and looks at each byte that came out:
// in a file, on a terminal and as JSON.
func TestNothingMovesTheCursor(t *testing.T) {
	for _, m := range []mouth{names, denials, everything} {
		for _, to := range []string{"file", "terminal", "json"} {
			t.Run(m.what+"/"+to, func(t *testing.T) {
				t.Parallel()
				h := newHostileCloud(t)
				h.play(t, to, m)
			})
		}
	}
}

// A mouth is what is hostile of the cloud's answers.
type mouth struct {
	what string
	// speaks tells which answers' texts are hostile, by method and key.
	speaks func(method, key string) bool
	refuse bool // every answer is a refusal
}

var (
	// Names of what is there already: a release gets through.
	names = mouth{what: "names", speaks: func(method, key string) bool {
		return method == http.MethodGet && slices.Contains([]string{"name", "description", "email", "distribution"}, key)
	}}
	denials    = mouth{what: "denials", speaks: func(string, string) bool { return true }, refuse: true}
	everything = mouth{what: "everything", speaks: func(string, string) bool { return true }}
)

// hostileCloud is a sandbox behind a server that changes what it says.
type hostileCloud struct {
	box   *runningSandbox
	dir   string
	env   []string
	mouth atomic.Pointer[mouth]
}

func newHostileCloud(t *testing.T) *hostileCloud {
	t.Helper()
	h := &hostileCloud{dir: t.TempDir()}
	box, err := startSandbox(context.Background(), sandboxOptions{dir: filepath.Join(h.dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none"})
	if err != nil {
		t.Fatal(err)
	}
	h.box = box
	t.Cleanup(func() { box.close() })
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.env = append(os.Environ(), "HOME="+h.dir, "TERM=xterm")
	for name, value := range box.env {
		if name == "DIGITALOCEAN_API_URL" {
			value = server.URL
		}
		h.env = append(h.env, name+"="+value)
	}
	writeDoc(t, filepath.Join(h.dir, "cattle.yaml"), "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\nhealth: {deadline: 2s, interval: 100ms}\n")
	for release, b := range map[string]sandbox.Behaviour{"v5": {Kind: sandbox.Babbles}, "v6": {Kind: sandbox.Babbles, Step: "packages"}} {
		box.cloud.Break(release, b)
	}
	return h
}

func (h *hostileCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	truth := httptest.NewRecorder()
	h.box.cloud.ServeHTTP(truth, r)
	m, body, status := h.mouth.Load(), truth.Body.Bytes(), truth.Code
	switch {
	case m == nil:
	case m.refuse:
		w.Header().Set("X-Request-Id", "BABBLE\u202e\u009b")
		status, body = http.StatusForbidden, said(map[string]any{"id": sandbox.Babble, "message": "no " + sandbox.Babble, "request_id": sandbox.Babble})
	default:
		var answer any
		if json.Unmarshal(body, &answer) == nil {
			body = said(m.pervert(r.Method, "", answer))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		w.Write(body)
	}
}

// said is JSON as only somebody hostile writes it: with the bytes themselves.
func said(v any) []byte {
	raw, _ := json.Marshal(v)
	return bytes.ReplaceAll(raw, []byte(`\ufffd`), []byte{0xff})
}

func (m *mouth) pervert(method, key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = m.pervert(method, k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = m.pervert(method, key, v[i])
		}
	case string:
		if m.speaks(method, key) {
			return v + sandbox.Babble
		}
	}
	return v
}

// play runs every verb: a site comes to be in truth, then the cloud turns.
func (h *hostileCloud) play(t *testing.T, to string, m mouth) {
	for _, args := range [][]string{{"release", "v1"}, {"release", "v2"}} {
		h.run(t, "file", args...)
	}
	h.mouth.Store(&m)
	heard := 0
	for _, args := range [][]string{
		{"plan", "v3"}, {"status"}, {"release", "v3"}, {"rollback"}, {"rebuild"}, {"rebuild", "--if-older-than", "7d"}, {"bake", "v3"}, {"release", "v5"}, {"release", "v6"},
		{"gc", "--dry-run"}, {"gc"}, {"gc", "--attempt", "0000000000000000"}, {"bake", "--delete"}, {"destroy", "--dry-run"}, {"destroy", "--yes", "--with-ip"}, {"ssh", "true"},
	} {
		if to == "json" && args[0] != "ssh" {
			args = slices.Insert(slices.Clone(args), 1, "--json")
		}
		out := h.run(t, to, args...)
		heard += strings.Count(out, "BABBLE")
		printableOnly(t, args, out)
	}
	if left, _ := os.ReadDir(h.dir); len(left) != 2 {
		t.Errorf("something was written beside the profile and the sandbox: %v", left)
	}
	if heard == 0 {
		t.Error("nothing of what was said came out: the test is deaf")
	}
	t.Logf("what was said came out %d times", heard)
}

const killAfter = 15 * time.Second

// run runs a command and returns all that it wrote.
func (h *hostileCloud) run(t *testing.T, to string, args ...string) string {
	t.Helper()
	// What waits for a cloud that lies is interrupted, and then killed: what it
	// says meanwhile is what is looked at.
	ctx, cancel := context.WithTimeout(t.Context(), killAfter)
	defer cancel()
	cmd := exec.CommandContext(ctx, "cattle", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killAfter
	cmd.Dir, cmd.Env = h.dir, h.env
	began := time.Now()
	defer func() { t.Logf("%s: %s", time.Since(began), strings.Join(args, " ")) }()
	if to != "terminal" {
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	main, other := openTerminal(t)
	var out bytes.Buffer
	read := make(chan struct{})
	go func() { defer close(read); io.Copy(&out, main) }()
	cmd.Stdout, cmd.Stderr = other, other
	cmd.Run()
	other.Close()
	<-read // ends when nobody has the other side open any more
	main.Close()
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

// openTerminal opens a pseudo terminal.
func openTerminal(t *testing.T) (main, other *os.File) {
	t.Helper()
	main, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(main.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 120})
	}
	if err == nil {
		other, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return main, other
}

// obeyed fails the test when there is something in text that a terminal would obey.
func obeyed(t *testing.T, who, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 || !utf8.ValidString(text) {
		t.Errorf("cattle %s wrote %q", who, text[max(i-40, 0):min(max(i, 0)+40, len(text))])
	}
}

// styling is all that cattle itself sends to a terminal beside text.
var styling = regexp.MustCompile(`\r\x1b\[J|\x1b\[\?25l\x1b\[\?7l|(\x1b\[\d+A)?\r\x1b\[\?7h\x1b\[\?25h|\x1b\[(0|1|2|31|32|33)m`)

// printableOnly holds the output to printable lines, of which none is forged.
func printableOnly(t *testing.T, args []string, out string) {
	t.Helper()
	text := styling.ReplaceAllString(out, "")
	obeyed(t, strings.Join(args, " "), text)
	// The text that was said has styling too; between its words there is none of ours.
	if strings.Contains(out, "\x1b[31m\uFFFD") || regexp.MustCompile(`2J\r\x1b\[K`).MatchString(out) {
		t.Errorf("cattle %s passed styling on: %q", strings.Join(args, " "), out)
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "cattle: error: BABBLE") || strings.HasPrefix(line, "cattle: hint: BABBLE") {
			t.Errorf("cattle %s has a forged line:\n%s", strings.Join(args, " "), out)
		}
	}
}
