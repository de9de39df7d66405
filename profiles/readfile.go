package profiles

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxFile is the largest file that is read, in bytes: user-data holds 64 KiB,
// so nothing that is meant comes near it.
const maxFile = 1 << 20

var (
	errNotRegular = errors.New("not a regular file")
	errTooLarge   = errors.New("larger than 1 MiB")
)

// openFile opens a file that can be read to its end: a regular one of at most
// maxFile bytes.
func openFile(path string) (*os.File, error) {
	// Without O_NONBLOCK the open of a fifo waits for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errNotRegular
	case info.Size() > maxFile:
		err = errTooLarge
	default:
		return f, nil
	}
	f.Close()
	return nil, &fs.PathError{Op: "read", Path: path, Err: err}
}

// ReadFile reads a file that a profile names. What is no regular file, such as
// a fifo or a device, and what is larger than 1 MiB is an *fs.PathError.
func ReadFile(path string) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile { // it grew, or lies about its size
		err = &fs.PathError{Op: "read", Path: path, Err: errTooLarge}
	}
	return text, err
}

// checkFile is the error that ReadFile would have, without reading.
func checkFile(path string) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkFolder is why a path is no folder, or nil.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.ENOTDIR}
	}
	return err
}

// checkProgram is why a path is no file that can be run, or nil.
func checkProgram(path string) error {
	info, err := os.Stat(path)
	if err == nil && (info.IsDir() || info.Mode()&0o111 == 0) {
		err = &fs.PathError{Op: "run", Path: path, Err: syscall.EACCES}
	}
	return err
}

// fileHint is what to do about a file that cannot be read.
func fileHint(err error, otherwise string) string {
	switch {
	case errors.Is(err, errNotRegular):
		return "name a plain file: folders, pipes and devices are not read"
	case errors.Is(err, errTooLarge):
		return "is it the right file? put what is large into the image of a service"
	}
	return otherwise
}
