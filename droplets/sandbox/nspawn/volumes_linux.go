package nspawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cattle/droplets/sandbox"
)

// A volume is a file of this computer's, and while it is attached a loop device
// in front of it, which ends with this process and the last who has it mounted.

// A disk is a volume that is attached to a machine.
type disk struct {
	volume sandbox.Volume
	node   string   // its name in the machine's /dev
	loop   *os.File // keeps the device
	number uint64   // of the device
}

// link is where a droplet finds a volume by its name.
func (d *disk) link() string { return "disk/by-id/scsi-0DO_Volume_" + d.volume.Name }

// word tells a machine's first process of the disk.
func (d *disk) word() string {
	return fmt.Sprintf("%s:%d:%d:%s", d.node, unix.Major(d.number), unix.Minor(d.number), d.link())
}

func (h *Host) volumeFile(id string) string { return filepath.Join(h.record.Dir, "volumes", id) }

// AttachVolume gives a machine a volume, as /dev/sda and so on; one that is new
// gets its file system first.
func (h *Host) AttachVolume(ctx context.Context, id int, v sandbox.Volume) error {
	return h.act(id, func(m *machine) error {
		if m.disk(v.ID) != nil {
			return nil
		}
		if err := h.makeVolume(ctx, v); err != nil {
			return fmt.Errorf("making the volume %s: %w", v.Name, err)
		}
		d, err := newDisk(h.volumeFile(v.ID), v)
		if err != nil {
			return fmt.Errorf("a device for the volume %s: %w", v.Name, err)
		}
		m.mu.Lock()
		d.node = m.freeNode()
		m.disks = append(m.disks, d)
		r := m.run
		m.mu.Unlock()
		if r == nil {
			return nil
		}
		return r.inDev(ctx, d.plug)
	})
}

// makeVolume makes a volume's file where there is none. It takes room as it is filled.
func (h *Host) makeVolume(ctx context.Context, v sandbox.Volume) error {
	path := h.volumeFile(v.ID)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(int64(v.SizeGiB)<<30), f.Close())
	if err == nil && v.Filesystem != "" {
		_, err = tool{argv: []string{"mkfs." + v.Filesystem, "-q", fresh}}.run(ctx)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return os.Rename(fresh, path)
}

// newDisk puts a loop device in front of a file.
func newDisk(path string, v sandbox.Volume) (*disk, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 20 { // another program may be faster
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, err
		}
		loop, err := os.OpenFile(fmt.Sprint("/dev/loop", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			return &disk{volume: v, loop: loop, number: unix.Mkdev(7, uint32(n))}, nil
		}
		loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, errors.New("each loop device that was free is taken")
}

// disk finds a volume at the machine.
func (m *machine) disk(volume string) *disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.disks, func(d *disk) bool { return d.volume.ID == volume }); i >= 0 {
		return m.disks[i]
	}
	return nil
}

// freeNode is the first name that no disk of the machine has. m.mu is held.
func (m *machine) freeNode() string {
	for letter := 'a'; ; letter++ {
		node := "sd" + string(letter)
		if !slices.ContainsFunc(m.disks, func(d *disk) bool { return d.node == node }) {
			return node
		}
	}
}

// dev opens the machine's /dev, once its first process is systemd: until then
// the machine may not have one of its own, and that process makes the nodes.
func (r *run) dev(ctx context.Context) (*os.Root, error) {
	process := filepath.Join("/proc", strconv.Itoa(r.leader))
	for deadline := time.After(patience); ; {
		if name, _ := os.ReadFile(filepath.Join(process, "comm")); strings.TrimSpace(string(name)) == "systemd" {
			return os.OpenRoot(filepath.Join(process, "root/dev"))
		}
		select {
		case <-r.ended:
			return nil, errEnded
		case <-deadline:
			return nil, fmt.Errorf("%s does not begin within %s", r.m.spec.Name, patience)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var errEnded = errors.New("the machine has ended")

// inDev does something to the devices of a machine that is on. One that ends
// meanwhile has none: it finds what there is at its next boot.
func (r *run) inDev(ctx context.Context, do func(*os.Root) error) error {
	dev, err := r.dev(ctx)
	if errors.Is(err, errEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dev.Close()
	return do(dev)
}

// plug makes a disk appear.
func (d *disk) plug(dev *os.Root) error {
	folder, err := dev.Open(".")
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := unix.Mknodat(int(folder.Fd()), d.node, unix.S_IFBLK|0o600, int(d.number)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("the device %s: %w", d.node, err)
	}
	if err := dev.MkdirAll("disk/by-id", 0o755); err != nil {
		return err
	}
	if err := dev.Symlink("../../"+d.node, d.link()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// DetachVolume takes a volume from a machine. What has it mounted goes on with
// what nobody will ever see: as if it had lost the disk, but that it is told of
// no error.
func (h *Host) DetachVolume(ctx context.Context, id int, v sandbox.Volume) error {
	return h.act(id, func(m *machine) error {
		d := m.disk(v.ID)
		if d == nil {
			return nil
		}
		m.mu.Lock()
		m.disks = slices.DeleteFunc(m.disks, func(o *disk) bool { return o == d })
		r := m.run
		m.mu.Unlock()
		if r != nil {
			if err := r.inDev(ctx, d.unplug); err != nil {
				return err
			}
			r.cgroup.freeze(true)
			defer r.cgroup.freeze(false)
		}
		return d.close(ctx, h.volumeFile(v.ID))
	})
}

// unplug makes a disk disappear.
func (d *disk) unplug(dev *os.Root) error {
	for _, name := range []string{d.link(), d.node} {
		if err := dev.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// close gives the device back. While a machine still has it mounted, the file
// is left to that one, and a copy takes its place.
func (d *disk) close(ctx context.Context, path string) error {
	device, err := os.OpenFile(d.loop.Name(), os.O_RDONLY|unix.O_EXCL, 0)
	if err == nil {
		return errors.Join(device.Close(), d.loop.Close())
	}
	if !errors.Is(err, unix.EBUSY) {
		return errors.Join(err, d.loop.Close())
	}
	torn := path + ".torn"
	_, err = tool{argv: []string{"cp", "--reflink=auto", "--sparse=always", path, torn}}.run(ctx)
	if err == nil {
		err = os.Rename(torn, path)
	}
	return errors.Join(err, d.loop.Close())
}

// dropDisks gives the devices of a machine back that has ended.
func (m *machine) dropDisks() (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.disks {
		err = errors.Join(err, d.loop.Close())
	}
	m.disks = nil
	return err
}

// DeleteVolume forgets what is on a volume.
func (h *Host) DeleteVolume(_ context.Context, volume string) error {
	if err := os.Remove(h.volumeFile(volume)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
