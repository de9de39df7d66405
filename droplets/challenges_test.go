package droplets

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPassScript runs the script on a folder of its own: nginx gets what it is to
// read, loses it again, and keeps nothing of a configuration that it refuses.
func TestPassScript(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	root := t.TempDir()
	known, folder := filepath.Join(root, "etc/nginx/cattle/well-known.conf"), filepath.Join(root, "run/cattle-challenge")
	for _, dir := range []string{filepath.Dir(known), filepath.Join(root, "bin"), filepath.Join(root, "run")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, tool := range []string{"systemctl", "systemd-run", "nginx"} {
		shim := "#!/bin/sh\necho " + tool + " \"$@\" >>" + root + "/log\n[ ! -e " + root + "/" + tool + "-fails ]\n"
		if err := os.WriteFile(filepath.Join(root, "bin", tool), []byte(shim), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const was = "location ^~ /.well-known/acme-challenge/ {\n\troot /var/lib/cattle/acme;\n}\n"
	if err := os.WriteFile(known, []byte(was), 0o644); err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("PATH=/usr/sbin", "PATH="+root+"/bin:/usr/sbin", "/etc/nginx", root+"/etc/nginx", "/run/", root+"/run/").Replace(passScript)
	run := func(args ...string) error {
		out, err := exec.Command(bash, append([]string{"-c", script, challengeName}, args...)...).CombinedOutput()
		t.Logf("%v: %s", args, out)
		return err
	}
	read := func(path string) string {
		text, _ := os.ReadFile(path)
		return string(text)
	}
	for range 2 {
		if err := run("on", "198.18.0.12", "600"); err != nil {
			t.Fatal(err)
		}
	}
	want := "location ^~ /.well-known/acme-challenge/ {\n\troot /var/lib/cattle/acme;\ninclude " + folder + "/location*.conf;\n}\ninclude " + folder + "/server*.conf;\n"
	if got := read(known); got != want {
		t.Errorf("nginx reads\n%s", got)
	}
	if got := read(filepath.Join(folder, "server.conf")); !strings.Contains(got, "proxy_pass http://198.18.0.12;") || !strings.Contains(got, "Host $host;") {
		t.Errorf("and\n%s", got)
	}
	if log := read(filepath.Join(root, "log")); !strings.Contains(log, "systemd-run --quiet --collect --unit=cattle-challenge --on-active=600 ") {
		t.Errorf("nothing ends it by itself:\n%s", log)
	}
	for range 2 {
		if err := run("off"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("it is not over")
	}
	if err := os.WriteFile(filepath.Join(root, "nginx-fails"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run("on", "198.18.0.12", "600"); err == nil {
		t.Error("nginx refuses it, and nobody is told")
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("what nginx refuses is left")
	}
}
