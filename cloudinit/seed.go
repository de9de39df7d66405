package cloudinit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/kdomanski/iso9660"
)

// metaData is what NoCloud wants beside user-data. The instance's id is the
// attempt's, so that a disk that was booted before is set up anew.
func (u *UserData) metaData() []byte {
	return fmt.Appendf(nil, "instance-id: cattle-%s\nlocal-hostname: %s\n", u.attempt, u.app)
}

// WriteTree lays everything out below dir, to read: the droplet's files at
// their paths, and user-data and meta-data as a NoCloud seed has them. Files
// that only root may read on the droplet get mode 0600 here too. What is in
// dir already stays, unless a file of the same name replaces it.
func (u *UserData) WriteTree(dir string) error {
	files := append(u.Files(), File{Path: "/user-data", Mode: 0o600, Content: u.bytes},
		File{Path: "/meta-data", Mode: 0o644, Content: u.metaData()})
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := write(path, f); err != nil {
			return err
		}
	}
	return nil
}

// write never leaves a secret open for a moment, nor an old file's mode.
func write(path string, f File) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(path, f.Content, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, os.FileMode(f.Mode&0o777))
}

// WriteISO writes a NoCloud seed image (ISO 9660, label cidata) that any
// hypervisor can attach. The same UserData gives the same bytes.
func (u *UserData) WriteISO(w io.Writer) error {
	image, err := iso9660.NewWriter()
	if err != nil {
		return err
	}
	defer image.Cleanup()
	files := map[string][]byte{"user-data": u.bytes, "meta-data": u.metaData()}
	for name, content := range sorted(files) {
		if err := image.AddFile(bytes.NewReader(content), name); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := image.WriteTo(&b, "cidata"); err != nil {
		return err
	}
	undate(b.Bytes())
	_, err = b.WriteTo(w)
	return err
}

// undate replaces what the library takes from the clock and from the system
// that it runs on. Offsets are those of ECMA-119, 8.4: the primary volume
// descriptor is sector 16; four timestamps of 17 bytes begin at its byte 813,
// where sixteen zeros and a zero byte mean "not said".
func undate(image []byte) {
	const descriptor, system, dates, date = 16 * 2048, 8, 813, 17
	copy(image[descriptor+system:], fmt.Sprintf("%-32s", "LINUX"))
	unsaid := strings.Repeat(strings.Repeat("0", date-1)+"\x00", 4)
	copy(image[descriptor+dates:], unsaid)
}
