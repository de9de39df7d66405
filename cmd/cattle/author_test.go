package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAuthor: who began a command, on a person's machine and in CI systems.
func TestAuthor(t *testing.T) {
	for name, tt := range map[string]struct {
		env          map[string]string
		ci, who, run string
	}{
		"GitHub": {map[string]string{"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "anna", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "anna/blog", "GITHUB_RUN_ID": "42"},
			"GitHub Actions", "anna", "https://github.com/anna/blog/actions/runs/42"},
		"GitLab": {map[string]string{"CI": "true", "GITLAB_CI": "true", "GITLAB_USER_LOGIN": "bob", "CI_JOB_URL": "https://gitlab.com/b/-/jobs/7"}, "GitLab CI", "bob", "https://gitlab.com/b/-/jobs/7"},
		"other":  {map[string]string{"CI": "1"}, "CI", "", ""},
		"none":   {map[string]string{"CI": "false"}, "", "", ""},
	} {
		a := author(t.Context(), stdio{env: func(key string) string { return tt.env[key] }}, t.TempDir())
		if a.CI != tt.ci || tt.who != "" && a.Who != tt.who || a.Run != tt.run || a.Who == "" || a.Host == "" || a.Commit != "" || a.Dirty || a.Cattle == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// TestGitState: the commit of the profile's folder. What a repository names as a
// program is not run by who only looks.
func TestGitState(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v %s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	if commit, dirty := gitState(t.Context(), dir); commit != "" || dirty {
		t.Errorf("before the first commit: %q, %v", commit, dirty)
	}
	write("cattle.yaml", "app: blog\n")
	git("add", ".")
	git("commit", "-qm", "one")
	if commit, dirty := gitState(t.Context(), dir); len(commit) != 40 || dirty {
		t.Errorf("committed: %q, %v", commit, dirty)
	}
	write("spy", "#!/bin/sh\ntouch "+dir+"/ran\n")
	git("config", "core.fsmonitor", dir+"/spy")
	if commit, dirty := gitState(t.Context(), dir); len(commit) != 40 || !dirty {
		t.Errorf("changed: %q, %v", commit, dirty)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the repository's own program was run")
	}
}
