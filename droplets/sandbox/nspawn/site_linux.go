package nspawn

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A base is what machines of one public image stand on: the root from the
// cache and, over it, the layer that is this sandbox's own.
type base struct {
	mu     sync.Mutex
	layers []string // the topmost first; empty until it is prepared
}

// Prepare builds what machines of a public image stand on. Create does it when
// it was not done; it takes a minute when the cache is empty, a second or two
// otherwise.
func (h *Host) Prepare(ctx context.Context, slug string) error {
	_, err := h.prepare(ctx, slug)
	return err
}

func (h *Host) prepare(ctx context.Context, slug string) ([]string, error) {
	h.mu.Lock()
	b := h.bases[slug]
	if b == nil {
		b = &base{}
		h.bases[slug] = b
	}
	h.mu.Unlock()

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.layers != nil {
		return b.layers, nil
	}
	root, err := h.root(ctx, slug)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	trust := h.opt.Trust
	h.mu.Unlock()
	dir := filepath.Join(h.record.Dir, "bases", slug)
	if err := layOver(ctx, root, dir, trust); err != nil {
		return nil, fmt.Errorf("preparing the %s root: %w", slug, err)
	}
	b.layers = []string{filepath.Join(dir, "upper"), root}
	return b.layers, nil
}

// layOver makes the sandbox's own layer over a root, in dir/upper.
func layOver(ctx context.Context, root, dir string, trust []byte) error {
	if err := removeTree(dir); err != nil { // of an attempt that failed
		return err
	}
	files, err := siteFiles(trust)
	if err != nil {
		return err
	}
	merged := filepath.Join(dir, "root")
	_, err = tool{
		argv: []string{"chroot", merged, "sh", "-c", settle},
		before: func() error {
			if err := ownMounts(); err != nil {
				return err
			}
			if err := mountOverlay([]string{root}, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), merged); err != nil {
				return err
			}
			if err := unix.Mount("/dev", filepath.Join(merged, "dev"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
				return err
			}
			for _, f := range files {
				if err := f.write(merged); err != nil {
					return err
				}
			}
			return nil
		},
	}.run(ctx)
	return err
}
