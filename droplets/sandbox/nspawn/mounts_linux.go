package nspawn

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ownMounts gives the calling thread mounts of its own. What this machine
// unmounts later is unmounted there as well; nothing goes the other way.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	return nil
}

// mountOverlay mounts layers, the topmost first, with a folder for what is
// written. A renamed folder keeps its contents below, as on a disk.
func mountOverlay(layers []string, upper, work, where string) error {
	for _, dir := range []string{upper, work, where} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	escaped := make([]string, len(layers))
	for i, l := range layers {
		escaped[i] = strings.ReplaceAll(escapeOption(l), ":", `\:`)
	}
	options := "redirect_dir=on,lowerdir=" + strings.Join(escaped, ":") +
		",upperdir=" + escapeOption(upper) + ",workdir=" + escapeOption(work)
	err := unix.Mount("overlay", where, "overlay", 0, options)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: it must be on a file system such as ext4 or XFS, not on an overlay", err)
	}
	if err != nil {
		return fmt.Errorf("mounting a machine's disk in %s: %w", where, err)
	}
	return nil
}

// escapeOption writes a path so that it ends neither an option nor a mount's
// list of them.
func escapeOption(path string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(path)
}

// mountSystem gives the calling thread, which is in a machine's network
// namespace, what systemd-nspawn looks at: devices of that network, control
// groups of version 2 alone, and a place for its own records.
func mountSystem() error {
	const records = "/run/systemd/nspawn"
	if err := os.MkdirAll(records, 0o755); err != nil {
		return err
	}
	for _, m := range []struct{ kind, where string }{
		{"sysfs", "/sys"},
		{"cgroup2", "/sys/fs/cgroup"},
		{"tmpfs", records},
	} {
		if err := unix.Mount(m.kind, m.where, m.kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.where, err)
		}
	}
	return nil
}
