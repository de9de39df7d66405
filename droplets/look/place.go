package look

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"cattle/droplets"
)

// A Place is a path on a droplet, or in a container there.
type Place struct {
	Container string // its name; "" is the droplet itself
	Path      string // absolute
}

// pack is the command that prints the tar of what is at the place.
func (p Place) pack() []string {
	if p.Container != "" {
		return []string{"docker", "cp", p.Container + ":" + p.Path, "-"}
	}
	return []string{"tar", "--create", "--directory=" + path.Dir(p.Path), "--", path.Base(p.Path)}
}

// unpack is the command that reads a tar into the folder at the place. What it
// makes is root's.
func (p Place) unpack() []string {
	if p.Container != "" {
		return []string{"docker", "cp", "-", p.Container + ":" + p.Path}
	}
	return []string{"tar", "--extract", "--no-same-owner", "--keep-directory-symlink", "--directory=" + p.Path}
}

// isFolder tells whether there is a folder at the place. A container may have
// no program that could say it, so the first entry of its tar does.
func (p Place) isFolder(ctx context.Context, m *droplets.Machine) (is bool, err error) {
	words := []string{"test", "-d", p.Path}
	read := func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
	if is = p.Container == ""; !is {
		words = []string{"docker", "cp", "--follow-link", p.Container + ":" + p.Path, "-"}
		read = func(r io.Reader) error {
			first, err := tar.NewReader(r).Next()
			is = err == nil && first.Typeflag == tar.TypeDir
			return droplets.ErrEnough
		}
	}
	err = m.Command(ctx, words, nil, read)
	var no *droplets.CommandError
	if errors.As(err, &no) && no.Exit == 1 {
		return false, nil
	}
	return is, err
}

// Copied is what was copied, and what was not.
type Copied struct {
	Files int
	Bytes int64
	// Skipped are the names of what was left out: devices, sockets, and links
	// that lead out of the copy.
	Skipped []string
}

// Fetch copies the file or folder at the place to local: into it, where that
// is a folder, else under that name. progress hears of each piece in bytes.
// A file arrives whole or not at all.
func (p Place) Fetch(ctx context.Context, m *droplets.Machine, local string, progress func(int)) (got Copied, err error) {
	if info, err := os.Stat(local); err == nil && info.IsDir() {
		local = filepath.Join(local, path.Base(p.Path))
	}
	err = m.Command(ctx, p.pack(), nil, func(r io.Reader) error {
		got, err = unpack(counted{r, progress}, local)
		return err
	})
	return got, err
}

// Print copies the file at the place to out.
func (p Place) Print(ctx context.Context, m *droplets.Machine, out io.Writer, progress func(int)) (got Copied, err error) {
	err = m.Command(ctx, p.pack(), nil, func(r io.Reader) error {
		t := tar.NewReader(counted{r, progress})
		first, err := t.Next()
		if err != nil {
			return nothingCame(err)
		}
		if first.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s is no file", p.Path)
		}
		got.Files = 1
		if got.Bytes, err = io.Copy(out, t); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		return err
	})
	return got, err
}

// Send copies a local file or folder to the place: into it, where that is a
// folder, else under that name.
func (p Place) Send(ctx context.Context, m *droplets.Machine, local string, progress func(int)) (sent Copied, err error) {
	if _, err := os.Lstat(local); err != nil {
		return sent, err
	}
	name, err := p.settle(ctx, m, filepath.Base(local))
	if err != nil {
		return sent, err
	}
	err = p.send(ctx, m, progress, func(w *tar.Writer) (err error) {
		sent, err = pack(w, local, name)
		return err
	})
	return sent, err
}

// SendFile copies what in holds to a file at the place; name is its name where
// that is a folder.
func (p Place) SendFile(ctx context.Context, m *droplets.Machine, in io.Reader, name string, progress func(int)) (Copied, error) {
	// A tar tells the size first, and docker takes nothing but a tar. The file
	// has no name: whatever ends this process ends it too.
	spool, err := os.CreateTemp("", "cattle-*")
	if err != nil {
		return Copied{}, err
	}
	defer spool.Close()
	if err := os.Remove(spool.Name()); err != nil {
		return Copied{}, err
	}
	size, err := io.Copy(spool, in)
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err == nil {
		name, err = p.settle(ctx, m, name)
	}
	if err != nil {
		return Copied{}, err
	}
	return Copied{Files: 1, Bytes: size}, p.send(ctx, m, progress, func(w *tar.Writer) error {
		return packFile(w, &tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg, ModTime: time.Now()}, spool)
	})
}

// settle makes the place the folder that is written to, and returns the name
// of what is written there.
func (p *Place) settle(ctx context.Context, m *droplets.Machine, name string) (string, error) {
	folder, err := p.isFolder(ctx, m)
	if err != nil || folder {
		return name, err
	}
	name = path.Base(p.Path)
	p.Path = path.Dir(p.Path)
	return name, nil
}

// send has the place unpack what write writes.
func (p Place) send(ctx context.Context, m *droplets.Machine, progress func(int), write func(*tar.Writer) error) error {
	out, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		w := tar.NewWriter(in)
		err := write(w)
		if err == nil {
			err = w.Close()
		}
		in.CloseWithError(err)
		written <- err
	}()
	err := m.Command(ctx, p.unpack(), counted{out, progress}, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	})
	out.CloseWithError(io.ErrClosedPipe) // the droplet may have stopped reading
	if failed := <-written; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		err = failed
	}
	return err
}

// counted tells of each piece that is read.
type counted struct {
	io.Reader
	progress func(int)
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.progress(n)
	return n, err
}
