package guess

import (
	"context"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"cattle/profiles"
)

// Git is what git says of the folder; the zero Git where it is no repository,
// or there is no git.
type Git struct {
	Root   string // absolute
	Remote string // the address of origin, without a password
	Inside string // the folder, from the root: "" or such as apps/web
}

// gitPatience is for one question to git, which asks no network.
const gitPatience = 10 * time.Second

func git(ctx context.Context, dir string, args ...string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
	return strings.TrimSpace(string(out)), err == nil
}

func lookAtGit(ctx context.Context, dir string) Git {
	root, ok := git(ctx, dir, "rev-parse", "--show-toplevel")
	if !ok {
		return Git{}
	}
	inside, _ := git(ctx, dir, "rev-parse", "--show-prefix")
	remote, _ := git(ctx, dir, "remote", "get-url", "origin") // without one it is empty
	return Git{Root: filepath.FromSlash(root), Remote: withoutUser(remote), Inside: strings.TrimSuffix(inside, "/")}
}

// Ignores tells whether git leaves a file out, by whatever rules it has.
func (f *Folder) Ignores(ctx context.Context, name string) bool {
	_, ignored := git(ctx, f.Dir, "check-ignore", "--quiet", "--no-index", name)
	return ignored
}

// Tracks tells whether a file is in the repository, so that others have it.
func (f *Folder) Tracks(ctx context.Context, name string) bool {
	_, tracked := git(ctx, f.Dir, "ls-files", "--error-unmatch", name)
	return tracked
}

// scp is git's short form: git@github.com:me/blog.git.
var scp = regexp.MustCompile(`^(?:[\w.-]+@)?([\w.-]+\.[\w-]+):([^/].*)$`)

// withoutUser makes of any remote host/path; "" of one that is a local folder.
func withoutUser(remote string) string {
	where := ""
	if m := scp.FindStringSubmatch(remote); m != nil && !strings.Contains(remote, "://") {
		where = m[1] + "/" + m[2]
	} else if u, err := url.Parse(remote); err == nil && u.Hostname() != "" {
		where = u.Hostname() + u.Path
	}
	return strings.TrimSuffix(strings.TrimSuffix(where, "/"), ".git")
}

// registries are where a forge keeps the images of its repositories.
var registries = map[string]string{"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com", "codeberg.org": "codeberg.org"}

// Image is where the repository's image belongs by its forge's custom, and ""
// where that is not known. A folder of a monorepo has one of its own.
func (g Git) Image() string {
	host, repository, found := strings.Cut(g.Remote, "/")
	registry, known := registries[host]
	if !found || !known {
		return ""
	}
	image := strings.ToLower(path.Join(registry, repository, path.Base("/"+g.Inside)))
	if profiles.ImageFault(image) != "" {
		return ""
	}
	return image
}
