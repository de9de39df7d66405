package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/version"
)

// An Unlocked file is a secrets file that may be changed: opened with one of
// the operator's keys, its MAC verified, and locked against other Unlocks of
// its folder until Close. Values are in memory alone. Not for concurrent use.
type Unlocked struct {
	Path   string
	Format Format

	tree    *sops.Tree // in plain
	dataKey []byte
	// cipher remembers how each value was encrypted, so that a value that stays
	// the same is the same bytes again: a diff shows what changed.
	cipher aes.Cipher
	raw    []byte // as it was read; nil for a file that is not there yet
	lock   *lock
}

// Unlock opens the file at path for a change. It waits some seconds for
// another change in the same folder to end, and may ask a cloud's key service.
// Faults of the file are *InputError; *KeyError says that no key opens it.
func Unlock(path string) (*Unlocked, error) { return unlock(path, false) }

// UnlockOrMake is Unlock for a file that need not be there: an empty one is
// begun, readable for those whom the folder's .sops.yaml names, and without
// one for the operator's own first age key.
func UnlockOrMake(path string) (*Unlocked, error) { return unlock(path, true) }

func unlock(path string, mayMake bool) (_ *Unlocked, err error) {
	// A link's target is what is replaced.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	l, err := lockFolder(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	f, err := Read(path)
	if mayMake && errors.Is(err, os.ErrNotExist) {
		return begin(path, l)
	}
	if err != nil {
		return nil, err
	}
	return f.unlock(l)
}

// unlock opens every value of the file.
func (f *File) unlock(l *lock) (*Unlocked, error) {
	tree, err := parse(f.raw, f.Format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	dataKey, err := tree.Metadata.GetDataKeyWithKeyServices(localKeys(), sops.DefaultDecryptionOrder)
	if err != nil {
		return nil, &KeyError{f.Path, err}
	}
	u := &Unlocked{Path: f.Path, Format: f.Format, tree: tree, dataKey: dataKey, cipher: aes.NewCipher(), raw: f.raw, lock: l}
	if err := decrypt(tree, dataKey, u.cipher); err != nil {
		return nil, &InputError{f.Path, "it was changed by something else than sops: its MAC does not fit its values",
			"git diff " + f.Path + " shows what was changed; git checkout " + f.Path + " takes the last sound one"}
	}
	return u, nil
}

// begin makes an empty file in memory; Save writes it.
func begin(path string, l *lock) (*Unlocked, error) {
	format, err := formatOf(path)
	if err != nil {
		return nil, err
	}
	metadata, err := metadataFor(path)
	if err != nil {
		return nil, err
	}
	tree := &sops.Tree{Branches: sops.TreeBranches{sops.TreeBranch{}}, Metadata: metadata}
	u := &Unlocked{Path: path, Format: format, tree: tree, cipher: aes.NewCipher(), lock: l}
	return u, u.Rotate()
}

func localKeys() []keyservice.KeyServiceClient {
	return []keyservice.KeyServiceClient{keyservice.NewLocalClient()}
}

// New tells that the file is not there yet.
func (u *Unlocked) New() bool { return u.raw == nil }

// Save encrypts the values and puts the file in the place of the old one, in
// one step and with its mode. The Unlocked is used up then. A file that
// somebody else changed meanwhile is left as it is.
func (u *Unlocked) Save() error {
	u.tree.Metadata.LastModified = time.Now().UTC()
	u.tree.Metadata.Version = version.Version
	if err := closeTree(u.tree, u.dataKey, u.cipher); err != nil {
		return fmt.Errorf("encrypt %s: %w", u.Path, err)
	}
	store, err := storeFor(u.Format)
	if err != nil {
		return err
	}
	raw, err := store.EmitEncryptedFile(*u.tree)
	if err != nil {
		return fmt.Errorf("encrypt %s: %w", u.Path, err)
	}
	if err := errors.Join(u.closed(raw), u.unchanged()); err != nil {
		return err
	}
	return replaceFile(u.Path, raw)
}

// closed looks whether all values are encrypted: a file may have rules, such as
// sops's own unencrypted_suffix, that leave some of them open.
func (u *Unlocked) closed(raw []byte) error {
	tree, err := parse(raw, u.Format)
	if err != nil {
		return fmt.Errorf("%s: what was to be written cannot be read: %w", u.Path, err)
	}
	if _, err := names(u.Path, tree); err != nil {
		return &InputError{u.Path, "a value would be written in plain text, by a rule of the file such as unencrypted_suffix; nothing was written",
			"choose a name that does not end in _unencrypted, or see sops's rules in the file"}
	}
	return nil
}

// unchanged looks whether the file is still what was read: git and editors
// know nothing of the lock.
func (u *Unlocked) unchanged() error {
	now, err := os.ReadFile(u.Path)
	if errors.Is(err, os.ErrNotExist) && u.New() {
		return nil
	}
	if err != nil {
		return err
	}
	if u.New() || !bytes.Equal(now, u.raw) {
		return &InputError{u.Path, "somebody changed it meanwhile; nothing was written", "do it again"}
	}
	return nil
}

// Close ends the lock. It may be called more than once.
func (u *Unlocked) Close() { u.lock.release() }

// newFile is the mode of a file that is made. What is in it is encrypted, but
// the names are nobody's business either.
const newFile os.FileMode = 0o600

// replaceFile puts content at path in one step, with the mode of the file that
// was there.
func replaceFile(path string, content []byte) error {
	mode := newFile
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
