package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unfinished ends the name of a root that is being built.
const unfinished = ".building"

// root returns the folder of a public image's root, which it builds if the
// cache has none. Nobody writes to it from then on.
func (h *Host) root(ctx context.Context, slug string) (string, error) {
	r, err := recipeOf(slug)
	if err != nil {
		return "", err
	}
	done := filepath.Join(h.record.Cache, r.name())
	if _, err := os.Stat(done); err == nil {
		return done, nil
	}
	if err := os.MkdirAll(h.record.Cache, 0o755); err != nil {
		return "", err
	}
	building, err := os.OpenFile(done+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer building.Close()
	if err := waitForLock(ctx, building); err != nil {
		return "", fmt.Errorf("waiting for another process that builds %s: %w", r.Slug, err)
	}
	if _, err := os.Stat(done); err == nil {
		return done, nil // the other one has built it
	}
	h.opt.say(fmt.Sprintf("building the %s root once, for the cache in %s: about a minute", r.Slug, h.record.Cache))
	return done, buildRoot(ctx, r, done)
}

// buildRoot builds a root at a place where it appears only when it is whole.
func buildRoot(ctx context.Context, r recipe, done string) error {
	if _, err := os.Stat(r.Keyring); err != nil {
		return &MissingError{
			Missing: []string{fmt.Sprintf("the keys of %s's archive (%s)", r.Origin, r.Keyring)},
			Install: "apt-get install --no-install-recommends " + r.Keys,
		}
	}
	folder := done + unfinished
	if err := removeTree(folder); err != nil {
		return err
	}
	targets, _ := tool{argv: []string{"apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"}}.run(ctx)
	archive := archiveOf(string(targets), r.Origin)
	_, err := tool{
		// Its own view of the processes: with the first of them all others end.
		argv:   append([]string{"sh", "-c", `mount -t proc proc /proc && exec "$@"`, "sh"}, r.mmdebstrap(folder, archive)...),
		env:    proxies(),
		clone:  unix.CLONE_NEWPID,
		before: ownMounts,
	}.run(ctx)
	if err != nil {
		removeTree(folder)
		from := archive
		if from == "" {
			from = "the usual archive, as this machine's apt has none of " + r.Origin
		}
		return fmt.Errorf("building the %s root from %s: %w", r.Slug, from, err)
	}
	return os.Rename(folder, done)
}

// proxies are the settings of this process that say how to get out.
func proxies() []string {
	var set []string
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") {
			set = append(set, v)
		}
	}
	return set
}

// waitForLock takes a lock that another process may hold.
func waitForLock(ctx context.Context, f *os.File) error {
	for {
		err := lock(f)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// removeUnfinished deletes from a cache what nobody builds any more.
func removeUnfinished(cache string) {
	folders, _ := filepath.Glob(filepath.Join(cache, "root-*"+unfinished))
	for _, folder := range folders {
		f, err := os.OpenFile(strings.TrimSuffix(folder, unfinished)+".lock", os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			removeTree(folder)
			continue
		}
		if err != nil {
			continue
		}
		if lock(f) == nil {
			removeTree(folder)
		}
		f.Close()
	}
}
