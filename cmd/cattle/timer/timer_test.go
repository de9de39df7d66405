package timer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cattle/cmd/cattle/timer"
)

// jobs are an ordinary one, and one in the hands of somebody with odd names.
func jobs() map[string]timer.Job {
	secrets := []timer.Secret{{Name: "DIGITALOCEAN_ACCESS_TOKEN"}, {Name: "CATTLE_SSH_KEY", File: true}, {Name: "SOPS_AGE_KEY_FILE", File: true}}
	return map[string]timer.Job{
		"plain": {App: "blog", Program: "/bin/true", Dir: "/tmp", Below: ".", Day: time.Sunday, Hour: 4, Minute: 15, Secrets: secrets},
		"odd":   {App: "blog-2", Program: "/bin/true", Dir: "/tmp/it's 100% \"mine\" $HOME", File: "the other's 5%.yaml", Below: "it's 100% \"mine\" $HOME", Day: time.Saturday, Hour: 23, Minute: 5, Secrets: secrets[:1]},
	}
}

// TestSystemd holds the units against systemd itself.
func TestSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd here")
	}
	for name, job := range jobs() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			args := []string{"--user", "--man=no", "--recursive-errors=no", "verify"}
			for _, f := range job.Systemd() {
				path := filepath.Join(dir, filepath.Base(f.Path))
				if err := os.WriteFile(path, []byte(f.Text), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, path)
			}
			cmd := exec.Command(analyze, args...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir)
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	odd := jobs()["odd"].Systemd()
	for _, want := range []string{`WorkingDirectory=/tmp/it's 100%% "mine" $HOME`, `ExecStart=/bin/true rebuild --if-older-than 6d --if-updates --file "the other's 5%%.yaml"`} {
		if !strings.Contains(odd[0].Text, want+"\n") {
			t.Errorf("no line %s in\n%s", want, odd[0].Text)
		}
	}
	if !strings.Contains(odd[1].Text, "OnCalendar=Sat 23:05\n") {
		t.Error(odd[1].Text)
	}
}

// TestCron runs the line as cron does, with a cattle that tells what it got.
func TestCron(t *testing.T) {
	home := t.TempDir()
	odd := jobs()["odd"]
	odd.Dir, odd.Program = filepath.Join(home, "it's 100% \"mine\" $HOME"), filepath.Join(home, "cattle of 5%")
	for path, text := range map[string]string{
		odd.Program: "#!/bin/sh\npwd\necho \"$TOKEN\"\nfor a; do echo \"$a\"; done\n", filepath.Join(home, odd.Environment()): "TOKEN='a b'\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(odd.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	line := odd.Cron()
	when, command, _ := strings.Cut(line, " cd ")
	if when != "5 23 * * 6" || strings.Count(line, "\n") != 1 {
		t.Fatalf("%q", line)
	}
	if regexp.MustCompile(`[^\\]%`).MatchString(line) {
		t.Errorf("cron ends the line at the first %%: %s", line)
	}
	// What cron does itself: an escaped % is one.
	cmd := exec.Command("sh", "-c", strings.ReplaceAll("cd "+command, `\%`, "%"))
	cmd.Env = []string{"HOME=" + home, "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if want := odd.Dir + "\na b\nrebuild\n--if-older-than\n6d\n--if-updates\n--file\nthe other's 5%.yaml\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("no shellcheck here")
	}
	lint := exec.Command(shellcheck, "--shell=sh", "--exclude=SC1090,SC1091", "-")
	_, command, _ = strings.Cut(jobs()["plain"].Cron(), " cd ") // of the odd one it finds the names odd, too
	lint.Stdin = strings.NewReader("cd " + command)
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestGitHub holds the workflow against actionlint, which looks at its scripts
// with shellcheck too, if that is there.
func TestGitHub(t *testing.T) {
	shellcheck, _ := exec.LookPath("shellcheck")
	for name, job := range jobs() {
		t.Run(name, func(t *testing.T) {
			f := job.GitHub()
			path := filepath.Join(t.TempDir(), "rebuild.yaml")
			if err := os.WriteFile(path, []byte(f.Text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("go", "tool", "actionlint", "-shellcheck="+shellcheck, "-pyflakes=", path).CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s\n%s", err, out, f.Text)
			}
			for line := range strings.Lines(f.Text) {
				if _, uses, ok := strings.Cut(line, "uses: "); ok && len(strings.Split(strings.Fields(uses)[0], "@")[1]) != 40 {
					t.Errorf("not pinned by a commit: %s", line)
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	day, hour, minute, err := timer.Parse("sAT", "04:05")
	if day != time.Saturday || hour != 4 || minute != 5 || err != nil {
		t.Error(day, hour, minute, err)
	}
	for _, wrong := range [][2]string{{"Sunday", "04:15"}, {"", "04:15"}, {"Sun", "24:00"}, {"Sun", "4"}, {"Sun", "04:15:00"}} {
		if _, _, _, err := timer.Parse(wrong[0], wrong[1]); err == nil {
			t.Error(wrong)
		}
	}
}
