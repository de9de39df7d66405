package secrets

import (
	"io"
	"os"
	"syscall"
)

// maxFile is the largest secrets file that is read, in bytes: it has to fit
// into 64 KiB of user-data.
const maxFile = 1 << 20

// readFile reads a regular file of at most maxFile bytes. Any other file is an
// *InputError.
func readFile(path string) ([]byte, error) {
	// Without O_NONBLOCK the open of a fifo waits for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &InputError{path, "not a regular file", "name a plain file: folders, pipes and devices are not read"}
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(raw) > maxFile {
		return nil, &InputError{path, "larger than 1 MiB", "is it the right file? all secrets together have to fit into 64 KiB"}
	}
	return raw, err
}
