package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const goodProfile = "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\n"

// layBadFiles makes files that nobody should be asked to read.
func layBadFiles(t *testing.T, dir string) {
	t.Helper()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	for name, text := range map[string]string{
		"tabs.yaml":      "app: blog\n\tdomain: blog.example.com\n",
		"nul.yaml":       "app: blog\x00\n",
		"bomb.yaml":      goodProfile + bomb,
		"deep.yaml":      goodProfile + "env: " + strings.Repeat("[", 100_000) + "\n",
		"binary.yaml":    "\x7fELF\x02\x01\x01" + strings.Repeat("\x00\xff\xfe", 300),
		"latin1.yaml":    "app: bl\xf6g\n",
		"utf16.yaml":     "\xff\xfea\x00p\x00p\x00:\x00",
		"escapes.yaml":   goodProfile + "\"\\e[2J\\u202e\": 1\n",
		"huge.yaml":      goodProfile + "# " + strings.Repeat("x", 2<<20),
		"oldkey":         "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
		"huge-key":       strings.Repeat("x", 1<<20),
		"identity.json":  `{"attempt":"../../x","age_key":"AGE-SECRET-KEY-1"}`,
		"secrets.env":    "A=plain\n",
		"\xff\xfe.yaml":  "app: Blog\n",
		"\x1b[2J\n.yaml": "app: Blog\n",
	} {
		writeDoc(t, filepath.Join(dir, name), text)
	}
	for _, what := range []string{"bomb", "deep", "binary", "huge", "tabs"} {
		writeDoc(t, filepath.Join(dir, "c-"+what+".yaml"), "app: blog\ndomain: blog.example.com\ncompose: "+what+".yaml\n")
	}
	for _, what := range []string{"pipe", "zero", "folder", "secrets.env", "broken"} {
		writeDoc(t, filepath.Join(dir, "s-"+what+".yaml"), goodProfile+"secrets: {file: "+what+"}\n")
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".env", "Dockerfile", ".gitignore", ".sops.yaml"} { // apps, each with a pipe where a file belongs
		app := filepath.Join(dir, "app"+name)
		if err := errors.Join(os.Mkdir(app, 0o700), syscall.Mkfifo(filepath.Join(app, name), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	// A regular file that cannot be read, not even by root.
	for name, target := range map[string]string{"zero": "/dev/zero", "broken": "/proc/self/mem", "circle": "circle"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBadInput: whatever is given, there is a clear word with a place where
// there is one, exit status 2, and nothing was asked of the cloud.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	layBadFiles(t, dir)
	writeDoc(t, filepath.Join(dir, "cattle.yaml"), goodProfile)
	cloud := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked: %s %s", r.Method, r.URL) }))
	t.Cleanup(cloud.Close) // after the parallel ones
	place := `^[^\n]*:\d+:\d+: error: `
	for _, tt := range []struct {
		what, args string
		env        string
		want       string // of standard error
	}{
		{"tabs", "plan -f tabs.yaml v1", "", place + "a tab in the indentation"},
		{"NUL", "plan -f nul.yaml v1", "", place},
		{"alias bomb", "plan -f bomb.yaml v1", "", place},
		{"nesting", "plan -f deep.yaml v1", "", place},
		{"binary", "plan -f binary.yaml v1", "", place},
		{"Latin-1", "plan -f latin1.yaml v1", "", place},
		{"UTF-16", "plan -f utf16.yaml v1", "", place},
		{"escapes", "plan -f escapes.yaml v1", "", place},
		{"huge", "plan -f huge.yaml v1", "", "huge.yaml: error: cannot be read: larger than 1 MiB"},
		{"folder", "plan -f folder v1", "", "folder: error: cannot be read: not a regular file"},
		{"fifo", "plan -f pipe v1", "", "not a regular file"},
		{"device", "plan -f zero v1", "", "not a regular file"},
		{"unreadable", "plan -f broken v1", "", "broken: error: cannot be read"},
		{"a link to itself", "plan -f circle v1", "", "circle: error: cannot be read"},
		{"a file as a folder", "plan -f cattle.yaml/x v1", "", "error: cannot be read"},
		{"name that is no text", "plan -f \xff\xfe.yaml v1", "", place},
		{"name with escapes", "plan -f \x1b[2J\n.yaml v1", "", "error: "},
		{"CATTLE_FILE", "plan v1", "CATTLE_FILE=zero", "not a regular file"},
		{"compose bomb", "plan -f c-bomb.yaml v1", "", place},
		{"compose nesting", "plan -f c-deep.yaml v1", "", place},
		{"compose binary", "plan -f c-binary.yaml v1", "", place},
		{"compose huge", "plan -f c-huge.yaml v1", "", place + ".*larger than 1 MiB"},
		{"compose tabs", "plan -f c-tabs.yaml v1", "", place},
		{"secrets fifo", "plan -f s-pipe.yaml v1", "", place + ".*not a regular file"},
		{"secrets device", "plan -f s-zero.yaml v1", "", place + ".*not a regular file"},
		{"secrets folder", "plan -f s-folder.yaml v1", "", place + ".*not a regular file"},
		{"secrets unreadable", "plan -f s-broken.yaml v1", "", place},
		{"secrets not encrypted", "plan -f s-secrets.env.yaml v1", "", place + ".*not encrypted"},
		{"secrets of a fifo", "secrets list -f s-pipe.yaml", "", "not a regular file"},
		{"secrets of a bomb", "secrets rotate -f bomb.yaml", "", place},
		{"secrets in plain text", "secrets edit -f s-secrets.env.yaml", "", "not encrypted"},
		{"app in a fifo", "init pipe", "", "pipe is no folder"},
		{".env that is a fifo", "init app.env", "", "not a regular file"},
		{"Dockerfile that is a fifo", "init appDockerfile", "", "not a regular file"},
		{".gitignore that is a fifo", "init app.gitignore", "", "not a regular file"},
		{".sops.yaml that is a fifo", "init app.sops.yaml", "", "not a regular file"},
		{"version", "plan v1\x1b[2J", "", "error: "},
		{"identity device", "render --identity zero v1", "", "not a regular file"},
		{"identity fifo", "render --identity pipe v1", "", "not a regular file"},
		{"identity not ours", "render --identity identity.json v1", "", "not an identity that cattle wrote"},
		{"key device", "release v1", "CATTLE_SSH_KEY=zero", "CATTLE_SSH_KEY: zero: larger than"},
		{"key fifo", "release v1", "CATTLE_SSH_KEY=pipe", "CATTLE_SSH_KEY: pipe: "},
		{"key folder", "release v1", "CATTLE_SSH_KEY=folder", "CATTLE_SSH_KEY: "},
		{"key huge", "release v1", "CATTLE_SSH_KEY=huge-key", "CATTLE_SSH_KEY: huge-key: larger than"},
		{"key broken", "release v1", "CATTLE_SSH_KEY=oldkey", "CATTLE_SSH_KEY: oldkey: "},
		{"token", "status", "DIGITALOCEAN_ACCESS_TOKEN=a\nb", "characters that no token has"},
		{"token with escapes", "status", "DIGITALOCEAN_ACCESS_TOKEN=\x1b[2J", "characters that no token has"},
		{"token of spaces", "status", "DIGITALOCEAN_ACCESS_TOKEN=  ", "no API token"},
		{"API", "status", "DIGITALOCEAN_API_URL=\x1b[2J", "no address of an API"},
		{"API port", "status", "DIGITALOCEAN_API_URL=http://127.0.0.1:99999", "no address of an API"},
		{"API scheme", "status", "DIGITALOCEAN_API_URL=file:///etc/passwd", "no address of an API"},
		{"API host", "status", "DIGITALOCEAN_API_URL=http://:80", "no address of an API"},
		{"proxy", "plan v1", "ALL_PROXY=\x1b[2J\u202e", "is no SOCKS5 proxy"},
		{"proxy port", "plan v1", "ALL_PROXY=socks5h://127.0.0.1:99999", "is no SOCKS5 proxy"},
		{"proxy without a port", "plan v1", "ALL_PROXY=socks5h://127.0.0.1", "is no SOCKS5 proxy"},
		{"proxy scheme", "plan v1", "ALL_PROXY=http://127.0.0.1:80", "is no SOCKS5 proxy"},
		{"sops alone", "plan v1", "CATTLE_SOPS_URL=https://example.com/sops", "needs both"},
		{"sops address", "plan v1", "CATTLE_SOPS_SHA256=" + strings.Repeat("0", 64) + "\x00CATTLE_SOPS_URL=http://\x1b", "no https address"},
		{"sops hash", "plan v1", "CATTLE_SOPS_SHA256=zz\x00CATTLE_SOPS_URL=https://example.com/sops", "no SHA-256"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, "measured", append([]string{"cattle"}, strings.Split(tt.args, " ")...)...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "HOME="+dir, "DIGITALOCEAN_ACCESS_TOKEN=t", "DIGITALOCEAN_API_URL="+cloud.URL, "ALL_PROXY=", "SSH_AUTH_SOCK=")
			cmd.Env = append(cmd.Env, strings.Split(tt.env, "\x00")...)
			all, _ := cmd.CombinedOutput()
			if ctx.Err() != nil {
				t.Fatal("it hangs")
			}
			out, peak, _ := bytes.Cut(all, []byte(measuredAs))
			used, err := strconv.Atoi(string(peak))
			if err != nil {
				t.Fatalf("%v:\n%s", err, all)
			}
			if got := cmd.ProcessState.ExitCode(); got != exitInput {
				t.Errorf("exit status %d:\n%s", got, out)
			}
			if used > 400<<10 {
				t.Errorf("it took %d MiB", used>>10)
			}
			if !regexp.MustCompile(tt.want).Match(out) {
				t.Errorf("want %q in\n%s", tt.want, out)
			}
			if !strings.Contains(string(out), "hint: ") {
				t.Errorf("no hint in\n%s", out)
			}
			printableOnly(t, []string{tt.args}, string(out))
		})
	}
}

// measuredAs stands before the figure of measuredChild.
const measuredAs = "\x00KiB: "

func init() { programs["measured"] = measuredChild }

// measuredChild runs a command and prints the most memory that it took, in KiB. It is
// a process of its own, for a child's figure begins with that of whoever forks
// it (Linux, exec_mmap), and the tests' own is large.
func measuredChild() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(measuredAs, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	os.Exit(cmd.ProcessState.ExitCode())
}
