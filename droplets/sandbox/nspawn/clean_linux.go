package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Clean takes away what killed sandboxes left over, and returns how many
// sandboxes that were. It never touches one that runs. Networks, rules and
// mounts need no cleaning: they ended with the processes.
func Clean(ctx context.Context, say func(string)) (removed int, err error) {
	return clean(ctx, registerFolder, say)
}

func clean(ctx context.Context, folder string, say func(string)) (removed int, err error) {
	if os.Geteuid() != 0 {
		return 0, &MissingError{Missing: []string{"root"}}
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var faults []error
	for _, e := range entries {
		if ctx.Err() != nil {
			return removed, context.Cause(ctx)
		}
		r, err := abandoned(filepath.Join(folder, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
		if r == nil {
			continue
		}
		if say != nil && r.ID != "" {
			say(fmt.Sprintf("taking away sandbox %s in %s", r.ID, r.Dir))
		}
		if err := r.remove(); err != nil {
			r.file.Close()
			faults = append(faults, fmt.Errorf("sandbox %s: %w", r.ID, err))
			continue
		}
		removed++
	}
	return removed, errors.Join(faults...)
}

// remove takes away all that a sandbox made, then its record.
func (r *record) remove() error {
	if r.Cgroup != "" {
		if err := r.Cgroup.remove(); err != nil {
			return err
		}
	}
	if r.Cache != "" {
		removeUnfinished(r.Cache)
	}
	if r.Dir != "" {
		if err := removeTree(r.Dir); err != nil {
			return err
		}
	}
	return r.erase()
}

// removeTree deletes a folder, but never through a mount: what is mounted
// somewhere below it is unmounted first.
func removeTree(dir string) error {
	below, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, where := range slices.Backward(below) {
		if err := unix.Unmount(where, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", where, err)
		}
	}
	return os.RemoveAll(dir)
}

// mountsBelow are the mount points at and below a folder, in the order in
// which they were made.
func mountsBelow(dir string) ([]string, error) {
	table, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	var below []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			where := unescape(fields[4])
			if where == dir || strings.HasPrefix(where, strings.TrimSuffix(dir, "/")+"/") {
				below = append(below, where)
			}
		}
	}
	return below, nil
}

// unescape undoes what the kernel does to blanks in its table of mounts.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
