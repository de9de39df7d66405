package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A docSandbox is a `cattle sandbox` in a process of its own, and the
// environment that it asked for.
type docSandbox struct {
	cmd *exec.Cmd
	dir string
	env []string
}

func startDocSandbox(t *testing.T, bin, dir, line string) *docSandbox {
	t.Helper()
	args := append([]string{"sandbox"}, strings.Fields(strings.TrimPrefix(line, "cattle sandbox"))...)
	args = append(args, "--listen", "127.0.0.1:0", "--socks", "127.0.0.1:0", "--latency", "none")
	box := &docSandbox{cmd: exec.Command(filepath.Join(bin, "cattle"), args...), dir: dir}
	var complaint bytes.Buffer
	box.cmd.Dir, box.cmd.Stderr = dir, &complaint
	out, err := box.cmd.StdoutPipe()
	if err == nil {
		err = box.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.stop)
	home := filepath.Join(dir, "home")
	box.env = append(os.Environ(), "HOME="+home, "SOPS_AGE_KEY_FILE="+home+"/age.key", "CI=true", "NO_PROXY=127.0.0.1", "EDITOR=true",
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if m := regexp.MustCompile(`^export (\w+)="(.*)"$`).FindStringSubmatch(lines.Text()); m != nil {
			box.env = append(box.env, m[1]+"="+m[2])
			if m[1] == "SSL_CERT_FILE" { // the last one
				return box
			}
		}
	}
	box.stop()
	t.Fatalf("%q does not say how to reach it: %s", line, complaint.String())
	return nil
}

func (b *docSandbox) stop() {
	if b != nil {
		b.cmd.Process.Signal(os.Interrupt)
		b.cmd.Wait()
	}
}

func (b *docSandbox) shell(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir, cmd.Env, cmd.WaitDelay = b.dir, b.env, time.Second
	cmd.Stdin = strings.NewReader("typed by the reader\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
