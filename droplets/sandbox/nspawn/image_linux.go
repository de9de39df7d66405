package nspawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// An image is a copy of a machine's disk. Machines and images that were made
// from it stand on its folders.
type image struct {
	dir     string
	layers  []string // the topmost first
	parent  *image   // what the layers below its own belong to; may be nil
	uses    int      // machines and images that stand on it
	deleted bool     // to be removed with its last use
}

// chooseLayers says what a new machine's disk begins with.
func (h *Host) chooseLayers(ctx context.Context, m *machine) (err error) {
	if m.spec.Image == 0 {
		m.layers, err = h.prepare(ctx, m.spec.Base)
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.images[m.spec.Image]
	if i == nil {
		return fmt.Errorf("there is no image %d", m.spec.Image)
	}
	i.uses++
	m.image, m.layers = i, i.layers
	return nil
}

// Snapshot keeps a copy of a machine's disk as an image. A machine that is on
// stands still meanwhile, so that the copy is of one moment; it is the disk
// that a machine finds whose power was cut then.
func (h *Host) Snapshot(ctx context.Context, id, imageID int) error {
	return h.act(id, func(m *machine) error {
		h.mu.Lock()
		_, taken := h.images[imageID]
		h.mu.Unlock()
		if taken {
			return fmt.Errorf("there is an image %d already", imageID)
		}
		i := &image{dir: filepath.Join(h.record.Dir, "images", fmt.Sprint(imageID)), parent: m.image}
		i.layers = append([]string{filepath.Join(i.dir, "upper")}, m.layers...)
		if err := m.copyDisk(ctx, i.dir); err != nil {
			return errors.Join(fmt.Errorf("copying the disk of %s: %w", m.spec.Name, err), removeTree(i.dir))
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if i.parent != nil {
			i.parent.uses++
		}
		h.images[imageID] = i
		return nil
	})
}

// copyDisk copies what a machine has on its disk beside the layers.
func (m *machine) copyDisk(ctx context.Context, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if r := m.current(); r != nil {
		r.cgroup.freeze(true)
		defer r.cgroup.freeze(false)
	}
	if err := copyTree(ctx, m.upper(), filepath.Join(to, "upper")); err != nil {
		return err
	}
	return copyTree(ctx, m.docker(), filepath.Join(to, "docker"))
}

// copyTree copies a folder as it is: owners, times, attributes, the device
// nodes by which an overlay marks what was deleted. Where the file system
// can, the copy shares its blocks.
func copyTree(ctx context.Context, from, to string) error {
	_, err := tool{argv: []string{"cp", "-a", "--reflink=auto", "--sparse=auto", "--no-target-directory", from, to}}.run(ctx)
	return err
}

// DeleteImage forgets an image. Its folders go when nothing stands on them.
func (h *Host) DeleteImage(_ context.Context, imageID int) error {
	h.mu.Lock()
	i := h.images[imageID]
	if i == nil {
		h.mu.Unlock()
		return nil
	}
	delete(h.images, imageID)
	i.deleted = true
	free := i.collect()
	h.mu.Unlock()
	return removeTrees(free)
}

// release ends one use of an image, and returns the folders that are to be
// removed then. h.mu is held.
func (i *image) release() []string {
	if i == nil {
		return nil
	}
	i.uses--
	return i.collect()
}

// collect returns the folder of a deleted image that nothing stands on, and
// those that this sets free. It returns each folder once. h.mu is held.
func (i *image) collect() []string {
	if !i.deleted || i.uses > 0 {
		return nil
	}
	return append([]string{i.dir}, i.parent.release()...)
}

func removeTrees(dirs []string) error {
	var faults []error
	for _, dir := range dirs {
		faults = append(faults, removeTree(dir))
	}
	return errors.Join(faults...)
}

// DiskFolders are the folders that hold everything that a machine wrote to its
// disk and has not deleted, nil without such a machine. What it began with, a
// snapshot say, is not in them.
func (h *Host) DiskFolders(id int) []string {
	m, err := h.machine(id)
	if err != nil {
		return nil
	}
	return []string{m.upper(), m.docker()}
}
