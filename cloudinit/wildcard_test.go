package cloudinit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWildcard: nginx serves the wildcard's names, and the droplet leaves its
// certificate to the operator.
func TestWildcard(t *testing.T) {
	in := shortest("debian-13-x64")
	in.Profile.Domains = []string{"example.com", "*.example.com"}
	out, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range out.Files() {
		files[f.Path] = string(f.Content)
	}
	for path, want := range map[string]string{"/etc/cattle/settings": "NAMES=('example.com' '*.example.com')\n",
		"/etc/nginx/cattle/tls.conf": "server_name example.com *.example.com;", "/etc/nginx/cattle/http.conf": "server_name example.com *.example.com;"} {
		if !strings.Contains(files[path], want) {
			t.Errorf("%s has no %q:\n%s", path, want, files[path])
		}
	}
	for _, names := range []string{"('example.com')", "('example.com' '*.example.com')"} {
		log := certifyLate(t, names)
		if asks := strings.Contains(log, "live"); asks == strings.Contains(names, "*") || asks == strings.Contains(log, "stop cattle-certify.timer") {
			t.Errorf("%s: %q", names, log)
		}
	}
}

// certifyLate runs what the droplet's timer does, and notes what that asks for.
func certifyLate(t *testing.T, names string) (log string) {
	t.Helper()
	text, err := os.ReadFile(script(t, "certify"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for path, content := range map[string]string{"settings": "NAMES=" + names + "\n", "live": "#!/bin/sh\necho live >>" + root + "/log\nexit 1\n",
		"systemctl": "#!/bin/sh\necho \"$@\" >>" + root + "/log\n"} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	moved := strings.NewReplacer("PATH=/usr/sbin", "PATH="+root+":/usr/sbin", "/etc/cattle/", root+"/", "/opt/cattle/live", root+"/live").Replace(string(text))
	if out, err := exec.Command("bash", "-c", moved, "certify", "--late").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, _ := os.ReadFile(filepath.Join(root, "log"))
	return string(said)
}
