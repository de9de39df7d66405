package cloudinit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// MaxSize is the largest user-data that DigitalOcean takes, in bytes.
const MaxSize = 64 << 10

// UserData is a rendered droplet. Read-only, safe for concurrent use; what its
// methods return is the caller's.
type UserData struct {
	app, attempt, digest string
	bytes                []byte
	files                []File
	parts                []Part
}

// A File is one that user-data puts on the droplet.
type File struct {
	Path    string // absolute
	Mode    uint32 // permission bits
	Owner   string // user:group; all files are written as root, step `files` gives them away
	Content []byte
}

// A Part is a piece of user-data and the bytes that it takes there.
type Part struct {
	Name string // a file's path, or "cloud-config" for all else
	Size int
}

// Bytes is the user-data itself, a cloud-config. With `deliver: user-data` it
// holds the key to the secrets, and always the SSH host key: do not print it
// where logs are kept.
func (u *UserData) Bytes() []byte { return bytes.Clone(u.bytes) }

// Files is what it puts on the droplet, by path.
func (u *UserData) Files() []File { return slices.Clone(u.files) }

// Parts are the pieces, the largest first.
func (u *UserData) Parts() []Part {
	return slices.SortedStableFunc(slices.Values(u.parts), func(a, b Part) int {
		return cmp.Or(b.Size-a.Size, strings.Compare(a.Name, b.Name))
	})
}

// Digest identifies the machine that this makes, whatever the attempt: 32 hex
// digits over the files, leaving out the attempt's id, its host key and the
// sealed secrets with their key.
func (u *UserData) Digest() string { return u.digest }

func digest(files []File) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %o %s %d\n%s", f.Path, f.Mode, f.Owner, len(f.Content), f.Content)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// TooLargeError says that user-data is more than the cloud takes, and what
// makes it so.
type TooLargeError struct {
	Size    int    // bytes; the limit is MaxSize
	Largest []Part // five
}

func (e *TooLargeError) Error() string {
	var parts []string
	for _, p := range e.Largest {
		parts = append(parts, fmt.Sprintf("%s %d", p.Name, p.Size))
	}
	return fmt.Sprintf("user-data has %d bytes, the limit is %d; the largest parts: %s",
		e.Size, MaxSize, strings.Join(parts, ", "))
}
