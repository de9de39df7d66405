//go:build e2e

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBootedDocs runs the commands of docs/rehearsal.md, in a folder that is as
// the page says.
func TestBootedDocs(t *testing.T) {
	dir := t.TempDir()
	s := &stage{dir: filepath.Join(dir, "blog"), sandbox: &runningSandbox{dir: dir, env: map[string]string{}}}
	if err := s.dress(demoSecrets()); err != nil {
		t.Fatal(err)
	}
	images, _, _ := strings.Cut(fromEnv(t, "CATTLE_E2E_IMAGES"), ",")
	if err := os.Symlink(images, filepath.Join(s.dir, "images.tar")); err != nil {
		t.Fatal(err)
	}
	sops := filepath.Dir(fromEnv(t, "CATTLE_E2E_SOPS"))
	out := typeRehearsal(t, "../../docs/rehearsal.md", s.dir, append(s.env, "PATH="+sops+":"+os.Getenv("PATH")))
	for _, want := range []string{"rehearsal: live 4, refused 0", "failed 0", "nothing is left over"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing printed %q:\n%s", want, out)
		}
	}
}

// shown runs what docs/looking.md shows of cattle ssh.
func (r *rig) shown(t *testing.T) {
	if out := typeRehearsal(t, "../../docs/looking.md", r.dir, r.env); !strings.Contains(out, "ghcr.io/example/blog") {
		t.Errorf("no container is shown:\n%s", out)
	}
}

// typeRehearsal runs a document's blocks that need booted machines.
func typeRehearsal(t *testing.T, document, dir string, env []string) string {
	t.Helper()
	bin := filepath.Dir(typedCattle(t))
	var all strings.Builder
	ran := 0
	for _, b := range readDocument(t, document).blocks {
		if b.info != "sh rehearsal" {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", `PATH="`+bin+`:$PATH"`+"\n"+b.text)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		all.Write(out)
		if err != nil {
			t.Errorf("%s:%d: %v\n%s", document, b.line, err, out)
		}
		ran++
	}
	if ran == 0 {
		t.Errorf("%s has no such block", document)
	}
	return all.String()
}
