package internet

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// blobs keeps the layers of all registries, by digest, in files that have no
// name: their room on the disk comes back however the process ends.
type blobs struct {
	dir string

	mu    sync.Mutex
	known map[v1.Hash]*blob
	files []*os.File
}

// blob is a layer that was pushed, or one that is read from its origin when it
// is first asked for.
type blob struct {
	origin v1.Layer

	mu   sync.Mutex // held while the layer is read
	file *os.File
	size int64
}

func newBlobs(dir string) *blobs { return &blobs{dir: dir, known: map[v1.Hash]*blob{}} }

// know tells where a layer can be had. What is here already stays.
func (b *blobs) know(h v1.Hash, origin v1.Layer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[h] == nil {
		b.known[h] = &blob{origin: origin}
	}
}

func (b *blobs) find(h v1.Hash) (*blob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if found := b.known[h]; found != nil {
		return found, nil
	}
	return nil, registry.ErrNotFound
}

// Stat is a layer's size in bytes.
func (b *blobs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	found, err := b.find(h)
	if err != nil {
		return 0, err
	}
	if found.origin != nil {
		return found.origin.Size()
	}
	return found.size, nil
}

// Get reads a layer.
func (b *blobs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	found, err := b.find(h)
	if err != nil {
		return nil, err
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	if found.file == nil {
		if err := b.fill(found); err != nil {
			return nil, err
		}
	}
	return section{io.NewSectionReader(found.file, 0, found.size)}, nil
}

// fill reads a layer from its origin. The blob must be locked.
func (b *blobs) fill(to *blob) error {
	r, err := to.origin.Compressed()
	if err != nil {
		return err
	}
	defer r.Close()
	to.file, to.size, err = b.write(r)
	return err
}

// Put takes a layer that a client pushes; the reader checks its digest.
func (b *blobs) Put(_ context.Context, _ string, h v1.Hash, r io.ReadCloser) error {
	file, size, err := b.write(r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[h] = &blob{file: file, size: size}
	return nil
}

// write copies to a file without a name that lasts until close.
func (b *blobs) write(from io.Reader) (file *os.File, size int64, err error) {
	file, err = os.CreateTemp(b.dir, ".blob-")
	if err != nil {
		return nil, 0, err
	}
	os.Remove(file.Name()) // where an open file keeps its name, close removes it
	if size, err = io.Copy(file, from); err != nil {
		file.Close()
		os.Remove(file.Name())
		return nil, 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files = append(b.files, file)
	return file, size, nil
}

func (b *blobs) close() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, file := range b.files {
		err = errors.Join(err, file.Close())
		os.Remove(file.Name())
	}
	b.files, b.known = nil, map[v1.Hash]*blob{}
	return err
}

// section can be read at any place, which the registry uses to serve ranges.
type section struct{ *io.SectionReader }

func (section) Close() error { return nil }
