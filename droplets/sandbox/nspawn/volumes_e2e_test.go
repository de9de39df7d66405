//go:build e2e && linux

package nspawn

import (
	"os"
	"strings"
	"testing"

	"cattle/droplets/sandbox"
)

// TestVolumes: what is written on a volume at one machine is there at the next,
// a reboot loses no device, and one that is taken while it is mounted has what
// was on it in that moment.
func TestVolumes(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	v := sandbox.Volume{ID: "00000000-0000-4000-9000-000000000001", Name: "blog-media", SizeGiB: 10, Filesystem: "ext4"}
	raw := sandbox.Volume{ID: "00000000-0000-4000-9000-000000000002", Name: "raw", SizeGiB: 1}
	const device = "/dev/disk/by-id/scsi-0DO_Volume_blog-media"
	s.create(10, 0, trivial)
	s.must(s.AttachVolume(ctx, 10, v)) // while it boots
	s.booted(10)
	s.create(11, 0, trivial)
	s.booted(11)
	if got := s.sh(10, "readlink -f "+device+"; blkid -o value -s TYPE "+device); got != "/dev/sda\next4" {
		t.Fatalf("the device is %q", got)
	}
	s.sh(10, "mkdir /mnt/media && mount -o noatime "+device+" /mnt/media && echo first >/mnt/media/row && umount /mnt/media")

	t.Run("moved", func(t *testing.T) {
		s.t = t
		s.must(s.DetachVolume(ctx, 10, v))
		s.must(s.DetachVolume(ctx, 10, v))
		s.sh(10, "! test -e "+device+" && ! test -e /dev/sda")
		s.must(s.AttachVolume(ctx, 11, v))
		s.must(s.AttachVolume(ctx, 11, v))
		s.must(s.AttachVolume(ctx, 11, raw))
		if got := s.sh(11, "readlink -f /dev/disk/by-id/scsi-0DO_Volume_raw; blockdev --getsize64 /dev/sdb; blkid -p /dev/sdb || echo none"); got != "/dev/sdb\n1073741824\nnone" {
			t.Errorf("the raw volume is %q", got)
		}
		s.sh(11, "mkdir /mnt/media && mount "+device+" /mnt/media && grep -q first /mnt/media/row && echo second >>/mnt/media/row")
		if free := s.sh(11, "df --output=size -BG /mnt/media | tail -n1"); !strings.Contains(free, "10G") {
			t.Errorf("it has %s", free)
		}
	})
	t.Run("mount unit", func(t *testing.T) {
		s.t = t
		s.sh(11, `printf '[Mount]\nWhat=`+device+`\nWhere=/mnt/media\nType=ext4\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/mnt-media.mount && systemctl daemon-reload && systemctl enable mnt-media.mount`)
		s.must(s.Reboot(ctx, 11))
		s.booted(11)
		if got := s.sh(11, "systemctl is-active mnt-media.mount; cat /mnt/media/row; ls /dev/sd*"); got != "active\nfirst\nsecond\n/dev/sda\n/dev/sdb" {
			t.Errorf("after a reboot: %q", got)
		}
	})
	t.Run("torn", func(t *testing.T) {
		s.t = t
		s.sh(11, "echo third >>/mnt/media/row && sync")
		s.must(s.DetachVolume(ctx, 11, v))
		s.sh(11, "! test -e "+device+"; echo lost >>/mnt/media/row; sync")
		s.must(s.AttachVolume(ctx, 10, v))
		if got := s.sh(10, "mount "+device+" /mnt/media && cat /mnt/media/row"); got != "first\nsecond\nthird" {
			t.Errorf("the volume has %q", got)
		}
	})
	t.Run("destroyed", func(t *testing.T) {
		s.t = t
		before := loops(s.record.Dir)
		s.must(s.Destroy(ctx, 10))
		if after := loops(s.record.Dir); len(after) != len(before)-1 {
			t.Errorf("devices before %v, after %v", before, after)
		}
		s.must(s.PowerOff(ctx, 11))
		s.must(s.AttachVolume(ctx, 11, v)) // that is off
		s.must(s.PowerOn(ctx, 11))
		s.booted(11)
		if got := s.sh(11, "cat /mnt/media/row"); got != "first\nsecond\nthird" {
			t.Errorf("the volume has %q", got)
		}
		s.must(s.Shutdown(ctx, 11))
		s.must(s.DetachVolume(ctx, 11, v))
		s.must(s.DeleteVolume(ctx, v.ID))
		s.must(s.DeleteVolume(ctx, v.ID))
		if _, err := os.Stat(s.volumeFile(v.ID)); !os.IsNotExist(err) {
			t.Errorf("a deleted volume is still there: %v", err)
		}
	})
}
