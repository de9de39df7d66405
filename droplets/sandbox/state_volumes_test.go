package sandbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

const (
	mediaEntry = `{"name":"media","kind":"volume","volume":"media","path":"/mnt/media","services":["web"]}`
	bothSpec   = `{"version":1,"app":"blog","entries":[{"name":"db","kind":"sqlite","volume":"blog_data","path":"blog.db"},` + mediaEntry + `],
	"migrate":{"service":"web","command":["true"]},"backup":{"repository":"s3:https://example.com/blog","overdue_s":172800}}`
	mediaSpec = `{"version":1,"app":"blog","entries":[` + mediaEntry + `]}`
)

// withVolume runs f on a site of two droplets of which the first is live and has
// the volume.
func withVolume(t *testing.T, spec string, f func(s *aSite, volume string, old, new *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &aSite{rig: newRig(t, sandbox.Options{})}
		defer s.Close()
		s.addKey()
		volume := s.volume("media")
		old, new := s.box("v1"), s.box("v2")
		s.ip = dig(s.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": old.id}), "reserved_ip", "ip").(string)
		for _, b := range s.boxes {
			b.equip(spec)
			b.says("prepare --adopt", "", "entries")
		}
		old.fails("start 60", "", "volume-missing new")
		old.fails("thaw", "", "volume-missing new") // though nobody ever joined
		old.fails("migrate", "", "volume-missing new")
		s.move(volume, nil, old)
		old.says("join", "", "joined")
		old.says("start 60", "", "phase")
		old.says("thaw", "", "phase")
		f(s, volume, old, new)
	})
}

// move detaches a volume and attaches it; nil is nowhere.
func (s *aSite) move(volume string, from, to *box) {
	s.t.Helper()
	if from != nil {
		s.plug(202, "detach", volume, from.id)
		time.Sleep(time.Second)
	}
	if to != nil {
		s.plug(202, "attach", volume, to.id)
		time.Sleep(time.Second)
	}
}

func (s *aSite) torn() (n int) {
	for _, c := range s.Changes() {
		if c.What == sandbox.Torn {
			n++
		}
	}
	return n
}

// reads is what a read is answered.
func (s *aSite) reads(addr string) int {
	s.t.Helper()
	status, _, err := s.get("http://"+addr+"/rows", "blog.example.com")
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

// TestStateVolumeMoves is the whole way of a volume, with rows that are carried beside it
// and without.
func TestStateVolumeMoves(t *testing.T) {
	for name, spec := range map[string]string{"both": bothSpec, "alone": mediaSpec} {
		t.Run(name, func(t *testing.T) {
			withVolume(t, spec, func(s *aSite, volume string, old, new *box) {
				if got := s.add(s.ip, "1"); got != 201 {
					t.Fatal("a row:", got)
				}
				order := s.lends(old, new, true)
				new.says("pull bulk", order, "done")
				s.add(s.ip, "2")
				old.fails("part 60", "", "not-frozen old")
				old.says("freeze 30", "", "until_ms")
				if got := s.reads(s.ip); got != 200 {
					t.Error("a read in the freeze:", got)
				}
				new.says("pull delta", order, "done")
				old.says("part 60", "", "until_ms")
				if got := s.reads(s.ip); got != 503 {
					t.Error("a read without the volume:", got)
				}
				s.move(volume, old, new)
				new.fails("start 600", "", "volume-missing new")
				new.says("join", "", "joined")
				new.says("start 600", "", "phase")
				old.says("commit 240", "", "phase")
				s.assign(new)
				new.says("thaw", "", "phase")
				if got := s.add(s.ip, "3"); got != 201 || !slices.Equal(s.rows(s.ip), []string{"1", "2", "3"}) {
					t.Error("afterwards:", got, s.rows(s.ip))
				}
				if got, want := new.says("writes", "", "total"), map[string]float64{"both": 1, "alone": 0}[name]; got != want {
					t.Error("writes:", got)
				}
				v := s.Snapshot().Volumes[0]
				if !slices.Equal(v.Rows, []string{"1", "2", "3"}) || v.Droplet != new.id || !v.Mounted || s.torn() != 0 {
					t.Errorf("the volume is %+v, torn %d times", v, s.torn())
				}
				old.fails("thaw", "", "volume-missing old")
				if got := s.add(old.addr, "4"); got != 503 || old.phase() != "committed" {
					t.Error("the old one took a row:", got, old.phase())
				}

				order = s.lends(new, old, true)
				old.says("pull bulk", order, "done")
				time.Sleep(time.Minute) // the old one's promise
				new.says("freeze 30", "", "until_ms")
				new.says("part 1", "", "until_ms")
				s.move(volume, new, old)
				if got := s.add(old.addr, "4"); got != 503 || old.phase() != "committed" {
					t.Error("thawed before it had its volume, it opened where nobody comes:", got, old.phase())
				}
				old.says("part 1", "", "until_ms")
				s.move(volume, old, new)
				new.says("join", "", "joined")
				old.says("pull delta", order, "done")
				new.says("part 60", "", "until_ms")
				s.move(volume, new, old)
				old.says("join", "", "joined")
				if got := s.add(old.addr, "4"); got != 503 {
					t.Error("a thaw from before it was to be the new one opened it:", got)
				}
				old.says("start 600", "", "phase")
				new.says("commit 240", "", "phase")
				s.assign(old)
				old.says("thaw", "", "phase")
				if got := s.add(s.ip, "4"); got != 201 || !slices.Equal(s.rows(s.ip), []string{"1", "2", "3", "4"}) {
					t.Error("back again:", got, s.rows(s.ip))
				}
			})
		})
	}
}

// TestStateVolumeComesBack by hand, or by itself once the promise is over; and with it
// what somebody wanted meanwhile.
func TestStateVolumeComesBack(t *testing.T) {
	withVolume(t, mediaSpec, func(s *aSite, volume string, old, new *box) {
		s.add(s.ip, "1")
		is := func(after time.Duration, read int, phase string) {
			t.Helper()
			time.Sleep(after)
			if got := s.reads(s.ip); got != read || old.phase() != phase {
				t.Errorf("a read is answered %d and it is %s, want %d and %s", got, old.phase(), read, phase)
			}
		}
		// Undone: the new one lets go of it, also while nothing was opened there.
		old.says("freeze 300", "", "phase")
		old.says("part 60", "", "parted")
		s.move(volume, old, new)
		new.says("join", "", "joined")
		new.says("start 600", "", "phase")
		new.says("part 60", "", "parted")
		if status, _, _ := s.get("http://"+new.addr+"/", "blog.example.com"); status != 503 {
			t.Error("parted, it answers", status)
		}
		new.says("join", "", "joined")
		if status, _, _ := s.get("http://"+new.addr+"/", "blog.example.com"); status != 502 {
			t.Error("its app was not stopped:", status)
		}
		new.says("part 60", "", "parted")
		s.move(volume, new, old)
		is(0, 503, "frozen") // it promised
		old.says("join", "", "joined")
		is(0, 200, "frozen")
		old.says("thaw", "", "phase")
		is(0, 200, "open")

		// Nobody goes on: the freeze ends first, the promise later.
		old.says("freeze 10", "", "phase")
		parted := time.Now()
		old.says("part 60", "", "parted")
		is(50*time.Second, 503, "frozen")
		old.fails("part 60", "", "not-frozen old")
		old.fails("commit 60", "", "lapsed old")
		is(11*time.Second, 200, "open")
		all := s.Changes()
		opened := slices.IndexFunc(all, func(c sandbox.Change) bool {
			return c.What == sandbox.Phased && c.Droplet == old.id && c.Note == "open" && c.At.After(parted)
		})
		if opened < 0 || all[opened].At.Before(parted.Add(time.Minute)) {
			t.Error("by its own account it opened before the promise was over")
		}

		// It is elsewhere for long, and a thaw is not forgotten.
		old.says("freeze 3600", "", "phase")
		old.says("part 60", "", "parted")
		s.move(volume, old, nil)
		is(2*time.Minute, 503, "frozen")
		old.fails("thaw", "", "volume-missing old")
		old.fails("commit 60", "", "lapsed old")
		s.move(volume, nil, old)
		is(0, 200, "open")
		old.says("freeze 3600", "", "phase")
		is(time.Minute, 200, "frozen")
		old.says("part 60", "", "parted")
		s.move(volume, old, nil)
		old.fails("thaw", "", "volume-missing old")
		old.says("freeze 3600", "", "phase") // who asks for it meant it later
		s.move(volume, nil, old)
		is(time.Minute, 200, "frozen")
		old.says("thaw", "", "phase")

		// Power comes and goes; then it does without the volume.
		power := func(what string) {
			t.Helper()
			s.want(201, "POST", fmt.Sprint("/v2/droplets/", old.id, "/actions"), map[string]any{"type": what})
			time.Sleep(time.Minute)
		}
		power("power_off")
		power("power_on")
		is(0, 200, "open")
		power("power_off")
		s.move(volume, old, nil)
		power("power_on")
		is(0, 503, "open")
		if s.torn() != 0 {
			t.Error("a volume was torn")
		}
		s.move(volume, nil, old)
		is(0, 200, "open")
		if got := s.rows(s.ip); !slices.Equal(got, []string{"1"}) {
			t.Error("the rows are", got)
		}
	})
}

// TestStateVolumeJoins: join waits for what is on its way, for half a minute.
func TestStateVolumeJoins(t *testing.T) {
	withVolume(t, bothSpec, func(s *aSite, volume string, old, new *box) {
		began := time.Now()
		new.fails("join", "", "volume-missing new")
		if took := time.Since(began); took < 30*time.Second || took > 31*time.Second {
			t.Error("it waited", took)
		}
		old.says("freeze 300", "", "phase")
		old.says("part 60", "", "parted")
		s.move(volume, old, nil)
		time.AfterFunc(10*time.Second, func() { s.plug(202, "attach", volume, new.id) })
		began = time.Now()
		new.says("join", "", "joined")
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Error("it came after", took)
		}
		old.fails("join", "", "volume-missing old")
		if line, _ := old.last("join", ""); dig(line, "error", "entry") != "media" {
			t.Error("the entry is not named:", line)
		}
	})
}

// TestStateVolumeTorn: one that is detached while it is mounted is told of, and what
// was there is closed.
func TestStateVolumeTorn(t *testing.T) {
	withVolume(t, mediaSpec, func(s *aSite, volume string, old, new *box) {
		s.move(volume, old, nil)
		if s.torn() != 1 {
			t.Error("torn:", s.torn())
		}
		if got := s.add(s.ip, "1"); got != 503 {
			t.Error("a row without the volume:", got)
		}
		var status string
		status, _, _ = old.run("status", nil)
		if !strings.Contains(status, `"volumes":[{"mounted":false,"name":"media"}]`) {
			t.Error("status:", status)
		}
	})
}

// TestStateVolumeBackups: a backup has the rows, and a fresh droplet takes none of it in
// the place of what outlived the one before.
func TestStateVolumeBackups(t *testing.T) {
	withVolume(t, bothSpec, func(s *aSite, volume string, old, new *box) {
		s.add(s.ip, "1")
		id := old.says("backup asked", "", "id").(string)
		s.add(s.ip, "2")
		new.fails("restore "+id+" --fresh", "", "volume-missing new")
		old.says("freeze 300", "", "phase")
		old.says("part 60", "", "parted")
		s.move(volume, old, new)
		new.says("join", "", "joined")
		new.says("restore "+id+" --fresh", "", "id")
		for _, d := range s.Snapshot().Droplets {
			if d.ID == new.id && !slices.Equal(d.Rows, []string{"1"}) {
				t.Error("restored:", d.Rows)
			}
		}
		if v := s.Snapshot().Volumes[0]; !slices.Equal(v.Rows, []string{"1", "2"}) {
			t.Error("on the volume:", v.Rows)
		}
		new.says("start 60", "", "phase")
		new.says("thaw", "", "phase")
		new.says("restore "+id+" --live", "", "before")
		if v := s.Snapshot().Volumes[0]; !slices.Equal(v.Rows, []string{"1"}) {
			t.Error("on the volume:", v.Rows)
		}
		entries := new.says("prepare", "", "entries")
		if dig(entries, 1, "kind") != "volume" || dig(entries, 1, "bytes") != 2.0 || dig(entries, 1, "empty") != false {
			t.Error("the facts are", entries)
		}
	})
}
