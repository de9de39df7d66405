package cloudinit

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// bootStep runs a step of the real boot script on a machine that only notes
// what it is told to do.
func bootStep(t *testing.T, step, settings string, ready bool) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(script(t, "boot"))
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.NewReplacer("/etc/cattle/settings", dir+"/settings", ". /opt/cattle/scheduler", ":", "/opt/cattle/compose", dir+"/compose",
		"/var/lib/cattle/state/", dir+"/", "export PATH=", "export PATH="+dir+":").Replace(string(text))
	note := "#!/bin/sh\n[ \"$1\" != is-enabled ] && echo \"${0##*/} $*\" >>" + dir + "/done\n"
	for name, text := range map[string]string{"settings": "SECRETS= TIMERS=(a.timer)\n" + settings, "compose": note, "systemctl": note, "done": ""} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if ready {
		if err := os.WriteFile(dir+"/ready", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("bash", "-c", moved, "boot", step).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	done, err := os.ReadFile(dir + "/done")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(done)), "\n", "; ")
}

// TestBootWaitsForState: what has state has its containers made and not
// started, and its jobs neither.
func TestBootWaitsForState(t *testing.T) {
	const enable, start = "systemctl enable --quiet --no-reload ", "systemctl start "
	tests := []struct {
		step, settings string
		ready          bool
		want           string
	}{
		{"app", "", false, enable + "cattle-app.service; " + start + "cattle-app.service"},
		{"app", "STATE=1\n", false, "compose up --no-start --no-build; " + enable + "cattle-app.service; " + start + "cattle-app.service"},
		{"app", "STATE=1\n", true, enable + "cattle-app.service; " + start + "cattle-app.service"},
		{"cron", "", false, enable + "a.timer; " + start + "a.timer"},
		{"cron", "STATE=1\n", false, enable + "a.timer"},
	}
	for _, tt := range tests {
		if got := bootStep(t, tt.step, tt.settings, tt.ready); got != tt.want {
			t.Errorf("%s with %q, ready %t: %s, want %s", tt.step, tt.settings, tt.ready, got, tt.want)
		}
	}
}
