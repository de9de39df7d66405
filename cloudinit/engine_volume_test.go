package cloudinit

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const volumeSpec = `{"version":1,"app":"blog","entries":[
{"name":"db","kind":"sqlite","volume":"data","path":"app.db"},
{"name":"media","kind":"volume","volume":"blog-media","path":"/mnt/media","services":["web","worker"]}],
"services":["web","worker","cache"],"servers":[],"pause":["worker"],"timers":[]}`

const (
	volumeDevice = "/dev/disk/by-id/scsi-0DO_Volume_blog-media"
	mountUnit    = "/etc/systemd/system/mnt-media.mount"
)

// volumeDroplets are two of a site with a volume, which the live one has mounted.
func volumeDroplets(t *testing.T) (older, newer *stateDroplet) {
	t.Helper()
	older, newer = stateDroplets(t, t.TempDir())
	for _, d := range []*stateDroplet{older, newer} {
		d.write("/etc/cattle/state.json.new", volumeSpec)
		d.write("/proc/self/mountinfo", "")
	}
	older.write("/var/lib/cattle/state/ready", "")
	older.attach("ext4")
	older.do("prepare")
	older.do("join")
	newer.do("prepare", "--adopt")
	return older, newer
}

// attach gives a droplet its volume, with what is on it; detach takes it away.
func (d *stateDroplet) attach(content string) {
	d.t.Helper()
	d.write("/volume", content)
	d.write(volumeDevice+".new", "")
	os.Remove(d.root + volumeDevice + ".new")
	if err := os.Symlink(d.root+"/volume", d.root+volumeDevice); err != nil {
		d.t.Fatal(err)
	}
}

func (d *stateDroplet) detach() {
	d.t.Helper()
	if err := os.Remove(d.root + volumeDevice); err != nil {
		d.t.Fatal(err)
	}
	if d.mounted() {
		d.t.Error("a volume was detached that is mounted")
	}
}

func (d *stateDroplet) text(path string) string {
	text, _ := os.ReadFile(d.root + path)
	return string(text)
}

func (d *stateDroplet) mounted() bool {
	return strings.Contains(d.text("/proc/self/mountinfo"), d.root+"/mnt/media rw,noatime")
}

// closed is what nginx looks for.
func (d *stateDroplet) closed() bool {
	return d.there("/var/lib/cattle/state/volumes.json") && !d.there("/run/cattle/mounted")
}

// asked returns what programs were asked for since the last time.
func (d *stateDroplet) asked() string {
	both := d.text("/systemctl") + d.text("/compose")
	os.Remove(d.root + "/systemctl")
	os.Remove(d.root + "/compose")
	return both
}

// wantAsked wants lines among those that programs were asked for.
func (d *stateDroplet) wantAsked(want ...string) {
	d.t.Helper()
	got := d.asked()
	for _, line := range want {
		if !strings.Contains(got, strings.ReplaceAll(line, "ROOT", d.root)+"\n") {
			d.t.Errorf("nobody asked for %s: %s", line, got)
		}
	}
}

func (d *stateDroplet) brief() string { return d.text("/var/lib/cattle/state/brief.json") }

// TestVolumeMoves from one droplet to the other, and back.
func TestVolumeMoves(t *testing.T) {
	t.Parallel()
	old, next := volumeDroplets(t)
	if !old.mounted() || old.closed() {
		t.Fatal("it is not mounted, or the site is closed")
	}
	old.wantAsked("mount -o noatime ROOT"+volumeDevice+" ROOT/mnt/media", "--quiet enable mnt-media.mount", "chattr +i ROOT/mnt/media")
	if unit := old.text(mountUnit); !strings.Contains(unit, "What="+volumeDevice+"\nWhere=/mnt/media\n") {
		t.Errorf("the unit is %s", unit)
	}
	old.wants("not-frozen", "", "", "part", "60")
	next.wants("volume-missing", "media", "", "start", "600")
	equip(old, next)
	old.do("freeze", "60")
	if old.closed() {
		t.Error("frozen, it answers no reader")
	}
	old.asked()
	for range 2 {
		old.do("part", "60")
		if old.mounted() || !old.closed() || !strings.Contains(old.brief(), `[{"name": "blog-media", "mounted": false}]`) {
			t.Error("parted, it has the volume, or answers:", old.brief())
		}
	}
	old.wantAsked("stop --timeout 5 web worker", "umount ROOT/mnt/media", "--quiet disable mnt-media.mount")
	if said := next.succeeds(old.source(), "pull", "delta").all; !strings.Contains(said, `"bytes": 0, "digest": "", "equal": true`) {
		t.Error("the volume's part of the copy:", said)
	}
	old.detach()
	next.attach("ext4")
	for range 2 {
		next.do("join")
	}
	if !next.mounted() || next.closed() {
		t.Error("joined, it lacks the volume, or is closed")
	}
	next.do("start", "600")
	old.do("commit", "240")
	next.makeLive()
	next.do("thaw")
	if total := next.do("writes").Total; total != 0 {
		t.Errorf("%d writes are told of", total)
	}
	old.wants("volume-missing", "media", "", "thaw")
	if !old.frozen() || !old.closed() {
		t.Error("without its volume it opened")
	}

	equip(next, old)
	next.do("freeze", "60")
	old.succeeds(next.source(), "pull", "delta")
	next.do("part", "60")
	next.detach()
	old.attach("ext4")
	old.do("join")
	old.do("start", "600")
	time.Sleep(time.Second)
	if !old.mounted() || old.closed() || !old.frozen() {
		t.Error("a thaw from before it was to be the new one opened it")
	}
	next.do("commit", "240")
	old.makeLive()
	old.do("thaw")
	if old.closed() || old.frozen() {
		t.Error("thawed, it is not open")
	}
}

// TestVolumeComesBack: the new droplet gives it up, and the old one goes on.
func TestVolumeComesBack(t *testing.T) {
	t.Parallel()
	old, next := volumeDroplets(t)
	old.do("freeze", "60")
	old.do("part", "60")
	old.detach()
	next.attach("ext4")
	next.do("join")
	next.do("start", "600")
	next.asked()
	next.do("part", "60")
	next.wantAsked("stop cattle-app.service", "umount ROOT/mnt/media")
	if next.there("/var/lib/cattle/state/ready") {
		t.Error("a reboot would start the app without its volume")
	}
	next.detach()
	old.asked()
	time.AfterFunc(200*time.Millisecond, func() { old.attach("ext4") }) // join waits for it
	old.do("join")
	if !old.mounted() || old.closed() || !old.frozen() {
		t.Error("joined, it is not as the freeze left it")
	}
	old.wantAsked("start cattle-app.service", "start web") // the worker is paused
	old.do("thaw")
	old.wantAsked("start worker")
	if old.frozen() || old.closed() {
		t.Error("thawed, it is not open")
	}
}

// TestPartedIsAPromise: the volume is not mounted before its end, whatever becomes of
// the freeze; then it is, and the droplet opens.
func TestPartedIsAPromise(t *testing.T) {
	t.Parallel()
	old, _ := volumeDroplets(t)
	old.do("freeze", "5")
	began := time.Now()
	old.do("part", "9")
	old.wants("volume-missing", "media", "", "thaw")
	for time.Since(began) < 8500*time.Millisecond {
		if old.mounted() || !old.closed() || !old.frozen() {
			t.Fatal("it took the volume again after", time.Since(began))
		}
		time.Sleep(50 * time.Millisecond)
	}
	old.wants("not-frozen", "", "", "part", "9") // the freeze is over
	until(t, "its opening", func() bool { return old.mounted() && !old.closed() && !old.frozen() })
	old.wants("lapsed", "", "", "commit", "1")
}

// TestLeftWithoutAVolume: an operator is gone while it is elsewhere.
func TestLeftWithoutAVolume(t *testing.T) {
	t.Parallel()
	old, _ := volumeDroplets(t)
	old.do("freeze", "5")
	old.do("part", "1")
	old.detach()
	time.Sleep(6 * time.Second)
	if !old.closed() || !old.frozen() {
		t.Error("without its volume it opened")
	}
	old.attach("ext4")
	until(t, "its opening", func() bool { return old.mounted() && !old.closed() && !old.frozen() })

	old.do("freeze", "60")
	old.do("part", "1")
	old.detach()
	old.wants("volume-missing", "media", "", "thaw") // which is remembered
	old.wants("lapsed", "", "", "commit", "60")
	old.attach("ext4")
	until(t, "its opening", func() bool { return old.mounted() && !old.closed() && !old.frozen() })
	old.do("freeze", "60")
	time.Sleep(time.Second)
	if !old.frozen() {
		t.Error("a thaw of an earlier freeze ended this one")
	}

	old.do("part", "1")
	old.detach()
	old.wants("volume-missing", "media", "", "thaw")
	old.do("freeze", "60") // who asks for it meant it later
	old.attach("ext4")
	until(t, "the volume", old.mounted)
	time.Sleep(time.Second)
	if !old.frozen() {
		t.Error("a thaw from before this freeze was asked for again ended it")
	}
}

// TestVolumeBusy: something does not let go, and everything is as it was.
func TestVolumeBusy(t *testing.T) {
	t.Parallel()
	old, _ := volumeDroplets(t)
	keeps := func(d *stateDroplet) { // a container that has it by a folder above
		d.write("/proc/123/comm", "backup\n")
		d.write("/proc/123/mountinfo", "1 1 8:0 / /host/mnt/media rw - ext4 "+d.root+"/volume rw\n")
	}
	for name, busy := range map[string]func(*stateDroplet){"open": func(d *stateDroplet) { d.write("/busy", "") }, "elsewhere": keeps} {
		t.Run(name, func(t *testing.T) {
			busy(old)
			old.do("freeze", "60")
			old.asked()
			answer := old.try("", "part", "60")
			if answer.Error.Code != "volume-busy" || answer.Error.Entry != "media" || answer.Error.Side != "old" {
				t.Errorf("it fails of %+v", answer.Error)
			}
			if name == "elsewhere" && !strings.Contains(answer.Error.Message, "backup (process 123) uses it") {
				t.Errorf("it does not say who keeps it: %s", answer.Error.Message)
			}
			os.Remove(old.root + "/busy")
			os.RemoveAll(old.root + "/proc/123")
			old.do("thaw")
			if !old.mounted() || old.closed() || old.frozen() {
				t.Error("thawed, it is not as it was")
			}
			old.wantAsked("stop --timeout 5 web worker", "stop --timeout 5 web worker cache", "start web cache", "start worker")
		})
	}
}

// TestVolumeAfterReboot: memory is empty, and the site opens with its volume alone.
func TestVolumeAfterReboot(t *testing.T) {
	t.Parallel()
	old, _ := volumeDroplets(t)
	reboot := func() {
		old.command("systemctl", "stop", "cattle-freeze.service").Run()
		time.Sleep(200 * time.Millisecond)
		os.RemoveAll(old.root + "/run/cattle")
		old.write("/proc/self/mountinfo", "")
		if !old.closed() {
			t.Error("it is open before anybody looked for its volume")
		}
		old.asked()
		old.command("systemctl", "start", "cattle-freeze.service").Run()
	}
	reboot()
	until(t, "its opening", func() bool { return old.mounted() && !old.closed() })
	old.wantAsked("stop --timeout 5 web worker", "start web worker") // Docker had started them on an empty folder
	old.write("/proc/self/mountinfo", "")
	old.detach()
	reboot()
	until(t, "a word of it", func() bool { return strings.Contains(old.brief(), `"mounted": false`) })
	old.wants("volume-missing", "media", "", "thaw")
	time.Sleep(700 * time.Millisecond)
	if !old.closed() {
		t.Error("without its volume it opened")
	}
	old.attach("ext4")
	until(t, "its opening", func() bool { return old.mounted() && !old.closed() })
}

// TestVolumeMissing: half a minute is waited for it.
func TestVolumeMissing(t *testing.T) {
	t.Parallel()
	_, next := volumeDroplets(t)
	began := time.Now()
	if answer := next.try("", "join"); answer.Error.Code != "volume-missing" || answer.Error.Entry != "media" || answer.Error.Side != "new" {
		t.Errorf("it fails of %+v", answer.Error)
	}
	if took := time.Since(began); took < 29*time.Second {
		t.Errorf("it waited %v", took)
	}
	next.wants("volume-missing", "media", "", "start", "60")
	next.attach("ext4")
	until(t, "the keeper to mount it", next.mounted)
	next.do("start", "60")
}

// TestClosedWeb: without its volume a droplet says so to everybody but ACME and who
// asks which one it is.
func TestClosedWeb(t *testing.T) {
	t.Parallel()
	old, _ := volumeDroplets(t)
	url := withNginx(t, old, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	old.do("freeze", "60") // which was prepared without nginx
	old.do("part", "60")
	open := []string{"/.well-known/acme-challenge/x", "/.well-known/cattle/attempt"}
	for _, path := range slices.Concat([]string{"/", "/x", "/.well-known/other"}, open) {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			want := 503
			if slices.Contains(open, path) && method != "POST" {
				want = 200
			}
			answer, text := ask(t, http.DefaultClient, method, url+path, nil)
			if answer.StatusCode != want || want == 503 && (answer.Header.Get("Retry-After") != "5" || method == "GET" && !strings.Contains(text, "is being moved")) {
				t.Errorf("%s %s: %d, %v, %s", method, path, answer.StatusCode, answer.Header, text)
			}
		}
	}
	old.do("join")
	if answer, _ := ask(t, http.DefaultClient, "GET", url, nil); answer.StatusCode != 200 {
		t.Errorf("joined, a read is answered %d", answer.StatusCode)
	}
	if answer, _ := ask(t, http.DefaultClient, "POST", url, nil); answer.StatusCode != 503 {
		t.Errorf("joined and frozen, a write is answered %d", answer.StatusCode)
	}
	old.do("thaw")
	if answer, _ := ask(t, http.DefaultClient, "POST", url, nil); answer.StatusCode != 200 {
		t.Errorf("thawed, a write is answered %d", answer.StatusCode)
	}
}
