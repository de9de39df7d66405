package cloudinit

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestVolumeIsFormatted where there is nothing at all on it.
func TestVolumeIsFormatted(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("\x00", 2<<20) // in which blkid's stand-in sees something
	for content, want := range map[string]string{"": "ext4\n", "xfs": "xfs", zeros: zeros, "unknown to blkid": "unknown to blkid"} {
		_, next := volumeDroplets(t)
		next.attach(content)
		next.do("join")
		if got := next.text("/volume"); got != want || !next.mounted() {
			t.Errorf("%.10q became %.10q", content, got)
		}
	}
}

// TestVolumeMountedElsewhere, as systems do by themselves: on the new droplet it goes to its
// own place, on one that never knew it it comes back to that one.
func TestVolumeMountedElsewhere(t *testing.T) {
	t.Parallel()
	old, next := volumeDroplets(t)
	line := func(d *stateDroplet) string {
		return "1 1 8:0 / " + d.root + "/mnt/blog_media rw - ext4 " + d.root + "/volume rw\n"
	}
	for _, d := range []*stateDroplet{old, next} {
		d.write("/mnt/blog_media/file", "") // sync wants a folder
	}
	next.attach("ext4")
	next.write("/proc/self/mountinfo", line(next))
	next.do("join")
	if got := next.text("/proc/self/mountinfo"); !next.mounted() || strings.Contains(got, "blog_media") {
		t.Errorf("mounted are %s", got)
	}
	old.do("freeze", "60")
	os.Remove(old.root + "/var/lib/cattle/state/volumes.json")
	old.write("/etc/cattle/state.json", strings.Replace(engineSpec, `"pause":["worker"]`, `"pause":[]`, 1))
	old.write("/etc/cattle/state.json.new", volumeSpec)
	old.write("/proc/self/mountinfo", line(old))
	old.do("part", "60")
	old.detach()
	old.attach("ext4")
	old.do("join")
	if got := old.text("/proc/self/mountinfo"); !strings.Contains(got, "/mnt/blog_media rw,noatime") || old.mounted() {
		t.Errorf("mounted are %s", got)
	}
}

// TestVolumeOfTheKernel moves a loop device: it is formatted, what is written goes
// along, and a process that has it mounted for itself alone is found.
func TestVolumeOfTheKernel(t *testing.T) {
	droplets(t, "mkfs.ext4", "losetup", "unshare")
	old, next := stateDroplets(t, t.TempDir())
	image := filepath.Join(t.TempDir(), "image")
	if err := exec.Command("truncate", "--size=16M", image).Run(); err != nil {
		t.Fatal(err)
	}
	found, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skipf("no loop device can be made: %v", err)
	}
	loop := strings.TrimSpace(string(found))
	t.Cleanup(func() { exec.Command("losetup", "--detach", loop).Run() })
	attach := func(d *stateDroplet) {
		if err := os.Symlink(loop, d.root+volumeDevice); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []*stateDroplet{old, next} {
		d.write("/etc/cattle/state.json.new", volumeSpec)
		d.write("/real", "")
		d.write(filepath.Dir(volumeDevice)+"/other", "")
		if err := os.Symlink("/proc", d.root+"/proc"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { exec.Command("umount", d.root+"/mnt/media").Run() })
	}
	attach(old)
	old.write("/var/lib/cattle/state/ready", "")
	old.do("prepare")
	old.do("join")
	old.write("/mnt/media/picture", "content")
	next.do("prepare", "--adopt")
	old.do("freeze", "60")

	ctx, cancel := context.WithCancel(t.Context())
	alone := exec.CommandContext(ctx, "unshare", "--mount", "--propagation=private", "sleep", "60")
	if err := alone.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "its own name space", func() bool {
		here, _ := os.Readlink("/proc/self/ns/mnt")
		there, err := os.Readlink("/proc/" + strconv.Itoa(alone.Process.Pid) + "/ns/mnt")
		return err == nil && here != there
	})
	if answer := old.try("", "part", "60"); answer.Error.Code != "volume-busy" || !strings.Contains(answer.Error.Message, "(process "+strconv.Itoa(alone.Process.Pid)+")") {
		t.Errorf("it fails of %+v", answer.Error)
	}
	cancel()
	alone.Wait()
	until(t, "the keeper to mount it again", func() bool { return old.there("/mnt/media/picture") && !old.closed() })
	open, err := os.Open(old.root + "/mnt/media/picture")
	if err != nil {
		t.Fatal(err)
	}
	if answer := old.try("", "part", "60"); answer.Error.Code != "volume-busy" || !strings.Contains(answer.Error.Message, "(process "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("it fails of %+v", answer.Error)
	}
	open.Close()
	// Whatever else this computer begins meanwhile has a copy of all mounts for a moment.
	until(t, "the volume to be free", func() bool { return old.try("", "part", "60").Error.Code == "" })
	if old.there("/mnt/media/picture") {
		t.Error("parted, it has the volume")
	}
	os.Remove(old.root + volumeDevice)
	attach(next)
	next.do("join")
	if got := next.text("/mnt/media/picture"); got != "content" {
		t.Errorf("on the new droplet it is %q", got)
	}
	if answer := next.do("prepare"); !strings.Contains(answer.all, `"kind": "volume"`) || strings.Contains(answer.all, `"kind": "volume", "bytes": 0`) {
		t.Errorf("the facts are %s", answer.all)
	}
	next.do("part", "60")
}
