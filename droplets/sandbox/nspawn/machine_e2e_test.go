//go:build e2e && linux

package nspawn

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A machine boots as the cloud's do, and does what its power actions say.
func TestMachine(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	begin := time.Now()
	s.must(s.Prepare(ctx, "debian-13-x64"))
	t.Logf("prepared after %s", time.Since(begin))
	begin = time.Now()
	s.create(10, 0, trivial)
	t.Logf("power after %s", time.Since(begin))
	s.until(time.Minute, "sshd", func() bool { return s.reaches("198.18.0.10:22") })
	t.Logf("sshd after %s", time.Since(begin))
	s.booted(10)
	t.Logf("cloud-init done after %s", time.Since(begin))

	if got := s.sh(10, "cat /etc/rehearsal; echo; hostname; cat /sys/class/dmi/id/product_serial"); got != "written\ndroplet-10\n10" {
		t.Errorf("the droplet is %q", got)
	}
	if got := s.sh(10, "cat /var/log/journal/*/system.journal | wc -c"); got == "0" {
		t.Error("the journal is not on disk")
	}
	if out, err := s.try(10, "which", "docker", "nginx", "certbot", "postfix", "nft"); err == nil || out != "" {
		t.Errorf("a stock image has no %s", out)
	}
	for _, sandboxed := range []string{
		"-p PrivateTmp=yes -p ProtectSystem=strict -p ProtectHome=yes -p PrivateDevices=yes",
		"-p DynamicUser=yes -p StateDirectory=x -p NoNewPrivileges=yes",
		"-p ProtectKernelTunables=yes -p ProtectControlGroups=yes -p RestrictNamespaces=yes -p MemoryDenyWriteExecute=yes -p SystemCallFilter=@system-service",
		"-p PrivateNetwork=yes -p PrivateUsers=yes -p ProtectProc=invisible",
	} {
		s.sh(10, "systemd-run --quiet --wait "+sandboxed+" true")
	}

	t.Run("stopped and killed", func(t *testing.T) {
		s.t = t
		// As the end of a boot does it to every process.
		ended := make(chan error, 1)
		go func() {
			_, err := s.Exec(ctx, 10, "sh", "-c", "touch /run/here; kill -STOP $$; : as told")
			ended <- err
		}()
		s.until(patience, "the command", func() bool {
			_, err := s.try(10, "sh", "-c", "test -e /run/here && grep -q '^State:.T' /proc/$(pgrep -f 'as tol[d]')/status")
			return err == nil
		})
		s.sh(10, "pkill -KILL -f 'as tol[d]'")
		select {
		case err := <-ended:
			if err == nil {
				t.Error("a command that was killed is done")
			}
		case <-time.After(patience):
			t.Fatal("nobody reaps a command that was stopped before it was killed")
		}
	})
	t.Run("reboot", func(t *testing.T) {
		s.t = t
		before := s.bootID(10)
		s.sh(10, "ip link add kept type bridge")
		begin := time.Now()
		s.sh(10, "systemctl reboot")
		s.until(patience, "reboot", func() bool {
			id, err := s.try(10, "cat", "/proc/sys/kernel/random/boot_id")
			return err == nil && id != before
		})
		s.booted(10)
		t.Logf("a reboot takes %s", time.Since(begin))
		s.sh(10, "! ip link show kept; cat /etc/rehearsal")

		before = s.bootID(10)
		s.must(s.Reboot(ctx, 10))
		if now := s.bootID(10); now == before {
			t.Error("Reboot returned before the machine has begun again")
		}
		s.booted(10)
		s.quiet()
	})
	t.Run("power", func(t *testing.T) {
		s.t = t
		s.sh(10, "systemctl poweroff")
		s.stops(10)
		if s.reaches("198.18.0.10:22") {
			t.Error("a droplet that is off answers")
		}
		s.must(s.PowerOff(ctx, 10)) // that is off already
		s.must(s.PowerOn(ctx, 10))
		s.must(s.PowerOn(ctx, 10)) // that is on already
		s.booted(10)
		begin := time.Now()
		s.must(s.Shutdown(ctx, 10))
		t.Logf("a shutdown takes %s", time.Since(begin))
		if _, err := s.try(10, "true"); err == nil {
			t.Error("a command ran on a droplet that is off")
		}
		s.must(s.PowerOn(ctx, 10))
		s.booted(10)
		s.sh(10, "echo before >/root/before && sync")
		begin = time.Now()
		s.must(s.PowerOff(ctx, 10))
		t.Logf("a power cut takes %s", time.Since(begin))
		s.quiet()
	})
	t.Run("destroy", func(t *testing.T) {
		s.t = t
		s.must(s.PowerOn(ctx, 10))
		folders := s.DiskFolders(10)
		if data, err := os.ReadFile(filepath.Join(folders[0], "root/before")); err != nil || string(data) != "before\n" {
			t.Errorf("the disk has %q, %v", data, err)
		}
		s.must(s.Destroy(ctx, 10))
		s.must(s.Destroy(ctx, 10))
		for _, f := range folders {
			if _, err := os.Stat(f); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", f, err)
			}
		}
		if err := s.PowerOn(ctx, 10); err == nil || !strings.Contains(err.Error(), "no machine 10") {
			t.Errorf("PowerOn of a machine that is gone: %v", err)
		}
		s.quiet()
	})
}

// A machine that does not listen is cut after a bound.
func TestDeafMachine(t *testing.T) {
	s := newStage(t)
	s.create(10, 0, trivial)
	s.booted(10)
	s.sh(10, `printf '[Service]\nExecStart=sleep infinity\nExecStop=sleep infinity\nTimeoutStopSec=infinity\n' >/run/systemd/system/deaf.service && systemctl start deaf`)
	begin := time.Now()
	s.must(s.Shutdown(t.Context(), 10))
	if took := time.Since(begin); took < patience || took > patience+10*time.Second {
		t.Errorf("cut after %s, want %s", took, patience)
	}
	s.quiet()
}

// Snapshots are whole disks, and outlive their deletion as long as a machine
// stands on them.
func TestSnapshot(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	s.create(10, 0, trivial)
	s.booted(10)
	s.sh(10, `echo kept >/root/kept
		rm /usr/bin/nano; rm -r /etc/cron.daily; mkdir /etc/cron.daily; mv /etc/apt/apt.conf.d /etc/apt/moved
		mkdir /var/lib/docker/volumes; echo docker >/var/lib/docker/volumes/v
		setfacl -m u:1:r /root/kept 2>/dev/null || true; mkfifo /root/fifo; sync`)
	begin := time.Now()
	s.must(s.Snapshot(ctx, 10, 500)) // of a machine that is on
	t.Logf("a snapshot takes %s", time.Since(begin))
	s.must(s.Shutdown(ctx, 10))
	s.must(s.Snapshot(ctx, 10, 501))
	if err := s.Snapshot(ctx, 10, 501); err == nil {
		t.Error("a second image with the same id")
	}
	check := `cat /root/kept /var/lib/docker/volumes/v; test ! -e /usr/bin/nano; test -z "$(ls /etc/cron.daily)"; test -e /etc/apt/moved/01autoremove; test -p /root/fifo; cat /etc/rehearsal; echo`
	for i, image := range []int{500, 501} {
		s.create(11+i, image, strings.Replace(trivial, "content: written", "content: anew", 1))
		s.booted(11 + i)
		if got := s.sh(11+i, check+"; hostname"); got != "kept\ndocker\nanew\ndroplet-"+string(rune('1'))+string(rune('1'+i)) {
			t.Errorf("the machine made from image %d has %q", image, got)
		}
	}
	s.sh(11, "echo second >/root/second; sync")
	s.must(s.Snapshot(ctx, 11, 502)) // which stands on 500
	s.must(s.Destroy(ctx, 10))
	s.must(s.DeleteImage(ctx, 500))
	s.must(s.DeleteImage(ctx, 500))
	s.must(s.DeleteImage(ctx, 501))
	s.must(s.Destroy(ctx, 11))
	s.must(s.Destroy(ctx, 12))
	s.create(13, 502, trivial)
	s.booted(13)
	s.sh(13, "cat /root/second /root/kept")
	images := func() string {
		entries, err := os.ReadDir(filepath.Join(s.record.Dir, "images"))
		s.must(err)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	if got := images(); got != "500 502" {
		t.Errorf("images %s are left, want 500 502", got)
	}
	s.must(s.DeleteImage(ctx, 502))
	s.must(s.Destroy(ctx, 13))
	if got := images(); got != "" {
		t.Errorf("images %s are left, want none", got)
	}
}

// With a seed folder there is no metadata service.
func TestNoCloud(t *testing.T) {
	s := newStageWith(t, Options{
		NoCloud:  true,
		UserData: func(id int) []byte { return []byte(strings.Replace(trivial, "written", "written"+strconv.Itoa(id), 1)) },
		Keys:     func(int) []string { return []string{"ssh-ed25519 AAAA key"} },
	})
	s.datasource = "nocloud"
	s.create(10, 0, "#cloud-config\nbootcmd: [\"false\"]\n")
	s.booted(10)
	got := s.sh(10, "cat /etc/rehearsal; echo; hostname; cat /root/.ssh/authorized_keys; ip -brief -4 addr show eth0; ip route show default")
	for _, want := range []string{"written10\ndroplet-10\n", "ssh-ed25519 AAAA key", "198.18.0.10/16", "default via 198.18.0.1"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
}
