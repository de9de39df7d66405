package internet

import (
	"context"
	"net/url"
	"os/exec"
	"path"
	"strings"
	"time"
)

// aptWithin bounds the question to apt, which reads local files alone.
const aptWithin = 10 * time.Second

// aptArchives are the archives that this machine has its own packages from, by
// the last part of their path: debian, debian-security, ubuntu. None where
// there is no apt.
func aptArchives() map[string]*url.URL {
	ctx, cancel := context.WithTimeout(context.Background(), aptWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return nil
	}
	return parseArchives(string(out))
}

func parseArchives(lines string) map[string]*url.URL {
	all := map[string]*url.URL{}
	for line := range strings.Lines(lines) {
		u, err := url.Parse(strings.TrimSpace(line))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			continue // such as a file, or a list of mirrors
		}
		if name := path.Base(u.Path); all[name] == nil {
			all[name] = u
		}
	}
	return all
}
