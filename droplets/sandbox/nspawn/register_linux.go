package nspawn

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// registerFolder has a record of every sandbox of this machine. It is on disk,
// not in /run: folders outlive a restart of the machine too.
const registerFolder = "/var/lib/cattle/sandboxes"

// A record says what a sandbox may leave behind. While the sandbox runs, its
// file is locked.
type record struct {
	ID     string `json:"id"`
	PID    int    `json:"pid"`
	Dir    string `json:"dir"`
	Cache  string `json:"cache"`
	Cgroup cgroup `json:"cgroup"`
	file   *os.File
	path   string
}

// register writes down a sandbox that begins.
func register(folder, dir, cache string, root cgroup) (*record, error) {
	for range 10 {
		r := &record{ID: newID(), PID: os.Getpid(), Dir: dir, Cache: cache}
		r.Cgroup = cgroup(filepath.Join(string(root), "cattle-sandbox-"+r.ID))
		r.path = filepath.Join(folder, r.ID+".json")
		err := r.write(folder)
		if err == nil {
			return r, nil
		}
		// Clean may have taken the folder, or a file that was not locked yet.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("writing down the sandbox: %w", err)
		}
	}
	return nil, fmt.Errorf("writing down the sandbox in %s: it is taken away each time", folder)
}

// write makes the file under another name, locks and fills it, and gives it
// its name: nobody sees it unlocked.
func (r *record) write(folder string) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	fresh := filepath.Join(folder, "."+r.ID)
	if r.file, err = os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.file.Close()
			os.Remove(fresh)
		}
	}()
	if err := lock(r.file); err != nil {
		return err
	}
	if err := json.NewEncoder(r.file).Encode(r); err != nil {
		return err
	}
	return os.Rename(fresh, r.path)
}

// erase ends the record. The sandbox must have left nothing.
func (r *record) erase() error {
	err := os.Remove(r.path)
	r.file.Close()
	os.Remove(filepath.Dir(r.path)) // if it was the last one
	os.Remove(filepath.Dir(filepath.Dir(r.path)))
	return err
}

// abandoned opens the record at a path if its sandbox has ended, and locks it.
// It is nil while the sandbox runs.
func abandoned(path string) (*record, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, err
	}
	// Whoever had the lock may have ended orderly meanwhile.
	if !sameFile(f, path) {
		f.Close()
		return nil, nil
	}
	r := &record{file: f, path: path}
	if err := json.NewDecoder(f).Decode(r); err != nil {
		*r = record{file: f, path: path} // killed while it was being written: nothing was made yet
	}
	return r, nil
}

// sameFile says whether an open file is still the one at a path.
func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(opened, there)
}

func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func newID() string {
	id := make([]byte, 4)
	rand.Read(id)
	return hex.EncodeToString(id)
}
