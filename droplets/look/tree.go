package look

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cattle/droplets"
)

// An OutsideError is an entry of a tar that would be written outside of where
// the copy goes. No tar that was made in earnest has one.
type OutsideError struct{ Name string }

func (e *OutsideError) Error() string {
	return fmt.Sprintf("the droplet sent %q, which leads out of the copy", droplets.Line(e.Name))
}

// nothingCame is the error of a tar that ends before its first entry; the
// command's own says why.
func nothingCame(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// unpack writes the one file or folder of a tar to local, and nothing outside
// of that: the tar comes from a droplet, which may be anybody's by now.
// Permission bits and times are kept; the owner is who runs this.
func unpack(r io.Reader, local string) (got Copied, err error) {
	t := tar.NewReader(r)
	first, err := t.Next()
	if err != nil {
		return got, nothingCame(err)
	}
	switch first.Typeflag {
	case tar.TypeReg:
		got.Files = 1
		got.Bytes, err = unpackFile(t, first, local)
	case tar.TypeDir:
		got, err = unpackFolder(t, first, local)
	case tar.TypeSymlink:
		err = fmt.Errorf("it is a link to %s: copy that", droplets.Line(first.Linkname))
	default:
		err = errors.New("it is neither a file nor a folder")
	}
	if err == nil { // the padding behind the end of the tar
		_, err = io.Copy(io.Discard, r)
	}
	return got, err
}

// unpackFile puts a file in the place of what is there, when it is whole.
func unpackFile(r io.Reader, h *tar.Header, local string) (int64, error) {
	if info, err := os.Stat(local); err == nil && !info.Mode().IsRegular() {
		out, err := os.OpenFile(local, os.O_WRONLY, 0) // /dev/stdout, say
		if err != nil {
			return 0, err
		}
		defer out.Close()
		return io.Copy(out, r)
	}
	out, err := os.CreateTemp(filepath.Dir(local), "."+filepath.Base(local)+".*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	n, err := io.Copy(out, r)
	if err != nil {
		return n, err
	}
	mode := fs.FileMode(h.Mode) & fs.ModePerm
	return n, errors.Join(out.Chmod(mode), out.Close(), os.Chtimes(out.Name(), h.ModTime, h.ModTime), os.Rename(out.Name(), local))
}

// A tree is a folder in the making. All that is written goes through root,
// which follows no link out of it.
type tree struct {
	root *os.Root
	base string // the first part of every name in the tar
	dirs []*tar.Header
	got  Copied
}

func unpackFolder(t *tar.Reader, first *tar.Header, local string) (Copied, error) {
	if err := os.MkdirAll(local, 0o700); err != nil {
		return Copied{}, err
	}
	root, err := os.OpenRoot(local)
	if err != nil {
		return Copied{}, err
	}
	defer root.Close()
	to := tree{root: root, base: path.Clean(first.Name)}
	if !filepath.IsLocal(to.base) {
		return Copied{}, &OutsideError{first.Name}
	}
	for h := first; err == nil; h, err = t.Next() {
		if err := to.put(h, t); err != nil {
			return to.got, err
		}
	}
	if err != io.EOF {
		return to.got, err
	}
	return to.got, to.finish()
}

// inside is the path of a name of the tar below the tree. What is clean and
// begins with the tree's own name has no way up in it.
func (to *tree) inside(name string) (string, error) {
	clean := path.Clean(name)
	if clean == to.base {
		return ".", nil
	}
	rest, ok := strings.CutPrefix(clean, to.base+"/")
	if !ok {
		return "", &OutsideError{name}
	}
	return rest, nil
}

func (to *tree) put(h *tar.Header, r io.Reader) error {
	name, err := to.inside(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		h.Name = name
		to.dirs = append(to.dirs, h)
		return to.root.MkdirAll(name, 0o700)
	case tar.TypeReg:
		return to.file(name, h, r)
	case tar.TypeSymlink:
		if path.IsAbs(h.Linkname) || !filepath.IsLocal(path.Join(path.Dir(name), h.Linkname)) {
			to.got.Skipped = append(to.got.Skipped, name+" -> "+h.Linkname)
			return nil
		}
		return errors.Join(to.clear(name), to.root.Symlink(h.Linkname, name))
	case tar.TypeLink:
		target, err := to.inside(h.Linkname)
		if err != nil {
			return err
		}
		return errors.Join(to.clear(name), to.root.Link(target, name))
	}
	to.got.Skipped = append(to.got.Skipped, name)
	return nil
}

// clear takes away what is at the name, so that nothing is written through a
// link. A folder stays, and what follows says so.
func (to *tree) clear(name string) error {
	info, err := to.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	return to.root.Remove(name)
}

func (to *tree) file(name string, h *tar.Header, r io.Reader) error {
	if err := to.clear(name); err != nil {
		return err
	}
	out, err := to.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, r)
	to.got.Files, to.got.Bytes = to.got.Files+1, to.got.Bytes+n
	return errors.Join(err, out.Chmod(fs.FileMode(h.Mode)&fs.ModePerm), out.Close(), to.root.Chtimes(name, h.ModTime, h.ModTime))
}

// finish gives the folders their modes and times, the innermost first: one
// that may not be written to could not have been filled. A name that a later
// entry made a link of is left alone.
func (to *tree) finish() (err error) {
	for _, h := range slices.Backward(to.dirs) {
		if info, e := to.root.Lstat(h.Name); e != nil || !info.IsDir() {
			continue
		}
		err = errors.Join(err, to.root.Chtimes(h.Name, h.ModTime, h.ModTime), to.root.Chmod(h.Name, fs.FileMode(h.Mode)&fs.ModePerm))
	}
	return err
}

// pack writes a local file or folder under a name. What is no file, folder or
// link is left out.
func pack(w *tar.Writer, local, name string) (sent Copied, err error) {
	info, err := os.Stat(local) // a link that was named is what it leads to
	if err != nil {
		return sent, err
	}
	if !info.IsDir() {
		return sent, sent.add(w, local, name, info)
	}
	if local, err = filepath.EvalSymlinks(local); err != nil {
		return sent, err
	}
	err = filepath.WalkDir(local, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(local, at)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return sent.add(w, at, path.Join(name, filepath.ToSlash(rest)), info)
	})
	return sent, err
}

func (sent *Copied) add(w *tar.Writer, local, name string, info fs.FileInfo) error {
	h := &tar.Header{Name: name, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	switch {
	case info.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return w.WriteHeader(h)
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(local)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return w.WriteHeader(h)
	case !info.Mode().IsRegular():
		sent.Skipped = append(sent.Skipped, name)
		return nil
	}
	file, err := os.Open(local)
	if err != nil {
		return err
	}
	defer file.Close()
	h.Typeflag, h.Size = tar.TypeReg, info.Size()
	sent.Files, sent.Bytes = sent.Files+1, sent.Bytes+info.Size()
	return packFile(w, h, file)
}

func packFile(w *tar.Writer, h *tar.Header, in io.Reader) error {
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(w, in, h.Size); err != nil {
		return fmt.Errorf("%s changed while it was read: %w", h.Name, err)
	}
	return nil
}
