package main

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"

	"cattle/droplets"
)

// gitWithin bounds what git is asked: a release does not wait for a slow disk.
const gitWithin = 2 * time.Second

// author is who began this command, for the history: what is known here without
// asking anybody. dir is the profile's folder.
func author(ctx context.Context, std stdio, dir string) droplets.Author {
	a := droplets.Author{Cattle: version()}
	if u, err := user.Current(); err == nil {
		a.Who = u.Username
	}
	a.Host, _ = os.Hostname()
	switch {
	case std.env("GITHUB_ACTIONS") == "true":
		a.CI, a.Who = "GitHub Actions", std.env("GITHUB_ACTOR")
		a.Run = std.env("GITHUB_SERVER_URL") + "/" + std.env("GITHUB_REPOSITORY") + "/actions/runs/" + std.env("GITHUB_RUN_ID")
	case std.env("GITLAB_CI") == "true":
		a.CI, a.Who, a.Run = "GitLab CI", std.env("GITLAB_USER_LOGIN"), std.env("CI_JOB_URL")
	case std.env("CI") != "" && std.env("CI") != "false":
		a.CI = "CI"
	}
	a.Commit, a.Dirty = gitState(ctx, dir)
	return a
}

// gitState is the commit of a folder, "" where it is in no repository, and
// whether something in the folder is not committed.
func gitState(ctx context.Context, dir string) (commit string, dirty bool) {
	ctx, cancel := context.WithTimeout(ctx, gitWithin)
	defer cancel()
	if commit = gitOutput(ctx, dir, "rev-parse", "--verify", "HEAD"); commit == "" {
		return "", false
	}
	return commit, gitOutput(ctx, dir, "status", "--porcelain", "--", ".") != ""
}

// gitOutput is what git says, "" where it fails. Who only looks starts no
// program that the repository names, and takes no lock.
func gitOutput(ctx context.Context, dir string, args ...string) string {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "-c", "core.fsmonitor=false", "--no-optional-locks"}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
