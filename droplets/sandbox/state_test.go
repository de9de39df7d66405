package sandbox_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"

	"golang.org/x/crypto/ssh"
)

// TestStateMoves is the whole way of rows from droplet to droplet.
func TestStateMoves(t *testing.T) {
	for _, private := range []bool{true, false} {
		withState(t, func(s *aSite, old, new *box) {
			if got := s.add(s.ip, "1"); got != 201 {
				t.Fatal("a row:", got)
			}
			if got := s.add(s.ip, "1"); got != 200 {
				t.Error("the row again:", got)
			}
			order := s.lends(old, new, private)
			new.says("pull bulk", order, "done")
			s.add(s.ip, "2")
			if status, _, _ := s.get("http://"+new.addr+"/", "blog.example.com"); status != 502 {
				t.Error("the new app runs before its rows are there:", status)
			}
			new.fails("pull delta", order, "not-frozen old")
			old.says("freeze 30", "", "until_ms")
			if got := s.add(s.ip, "3"); got != 503 {
				t.Error("a row in the freeze:", got)
			}
			if got := s.rows(s.ip); !slices.Equal(got, []string{"1", "2"}) {
				t.Error("read in the freeze:", got)
			}
			new.says("pull delta", order, "done")
			new.says("migrate", "", "migrated")
			if got := new.says("start 600", "", "phase"); got != "new" {
				t.Error(got)
			}
			if status, body, _ := s.get("http://"+new.addr+"/", "blog.example.com"); status != 200 || body != "blog v2\n" {
				t.Error("the gate:", status, body)
			}
			if got := old.says("commit 240", "", "phase"); got != "committed" {
				t.Error(got)
			}
			s.assign(new)
			if got := s.add(s.ip, "3"); got != 503 {
				t.Error("a row before it is opened:", got)
			}
			if got := new.says("thaw", "", "was"); got != "new" {
				t.Error(got)
			}
			if got := s.add(s.ip, "3"); got != 201 || !slices.Equal(s.rows(s.ip), []string{"1", "2", "3"}) {
				t.Error("afterwards:", got, s.rows(s.ip))
			}
			if got := new.says("writes", "", "total"); got != 1.0 {
				t.Error("writes:", got)
			}
			old.says("return", "", "lent")
			new.fails("pull bulk", order, "cut old")
			if got := old.phase(); got != "committed" {
				t.Error("the old one is", got)
			}
		})
	}
}

// TestStateLeases: what nobody goes on with ends by itself.
func TestStateLeases(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		phase := func(b *box, after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			if got := b.phase(); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		old.says("freeze 30", "", "phase")
		old.says("freeze 40", "", "phase")
		phase(old, 39*time.Second, "frozen")
		phase(old, 2*time.Second, "open")
		old.fails("commit 240", "", "lapsed old")

		old.says("freeze 30", "", "phase")
		old.says("commit 60", "", "phase")
		phase(old, 59*time.Second, "committed")
		phase(old, 2*time.Second, "open") // it is live

		old.says("freeze 30", "", "phase")
		old.says("commit 60", "", "phase")
		new.says("start 120", "", "phase")
		s.assign(new)
		phase(old, time.Hour, "committed")
		phase(new, 0, "open")
		s.assign(old)
		phase(old, 10*time.Second, "open")

		old.says("freeze 30", "", "phase")
		s.want(201, "POST", fmt.Sprint("/v2/droplets/", old.id, "/actions"), map[string]any{"type": "power_off"})
		phase(old, time.Minute, "frozen")
		s.want(201, "POST", fmt.Sprint("/v2/droplets/", old.id, "/actions"), map[string]any{"type": "power_on"})
		phase(old, time.Second, "open")
	})
}

// TestStateKeys: nobody gets in but with the key, in its time, from its peer, to
// the right droplet.
func TestStateKeys(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		_, other := s.order(old, true)
		good := s.lends(old, new, true)
		new.fails("pull bulk", other, "cut old")
		new.fails("pull bulk", strings.Replace(good, "10.", "11.", 1), "cut old")
		public, order := s.order(old, false)
		old.says("lend 60 192.0.2.1", public, "lent")
		new.fails("pull bulk", order, "cut old")
		old.says("lend 60 "+new.addr, public, "lent")
		new.says("pull bulk", order, "done")
		wrong := strings.Replace(order, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(old.host))), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(new.host))), 1)
		new.fails("pull bulk", wrong, "cut old")
		time.Sleep(time.Minute)
		new.fails("pull bulk", order, "cut old")
		old.says("return", "", "lent")
		old.says("return", "", "lent")
	})
}

// TestStateThroughOperator: a port of the new droplet that its operator carries on.
func TestStateThroughOperator(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		s.add(s.ip, "1")
		listener, err := new.client.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				to, err := s.Dial(t.Context(), "tcp", old.addr+":22")
				if err != nil {
					t.Error(err)
					return
				}
				go both(conn, to)
			}
		}()
		public, order := s.order(old, false)
		old.says("lend 60 127.0.0.1", public, "lent")
		_, port, _ := strings.Cut(listener.Addr().String(), ":")
		order = strings.Replace(order, `"port":22`, `"port":`+port, 1)
		order = strings.Replace(order, old.addr, "127.0.0.1", 1)
		new.says("pull bulk", order, "done")
		_, stranger := s.order(old, false)
		stranger = strings.Replace(strings.Replace(stranger, `"port":22`, `"port":`+port, 1), old.addr, "127.0.0.1", 1)
		new.fails("pull bulk", stranger, "cut old")
		listener.Close()
		new.client.Close()
		synctest.Wait()
	})
}

// TestStateBackups outlive their droplet.
func TestStateBackups(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		new.fails("restore latest --fresh", "", "no-backup ")
		s.add(s.ip, "1")
		first := old.says("backup release", "", "id").(string)
		s.add(s.ip, "2")
		time.Sleep(time.Hour)
		last := old.says("backup asked", "", "id").(string)
		s.want(204, "DELETE", fmt.Sprint("/v2/droplets/", old.id), nil)
		time.Sleep(time.Second)
		list := new.says("backups", "", "backups")
		if dig(list, 0, "id") != last || dig(list, 1, "id") != first || dig(list, 1, "reason") != "release" || dig(list, 0, "release") != "v1" {
			t.Error(list)
		}
		if got := new.says("verify", "", "id"); got != last {
			t.Error("verify:", got)
		}
		if got := new.says("restore latest --fresh", "", "id"); got != last {
			t.Error("restore:", got)
		}
		new.says("start 600", "", "phase")
		new.says("thaw", "", "phase")
		if got := s.rows(new.addr); !slices.Equal(got, []string{"1", "2"}) {
			t.Error("restored:", got)
		}
		new.says("restore "+first+" --live", "", "id")
		if got := s.rows(new.addr); !slices.Equal(got, []string{"1"}) {
			t.Error("restored:", got)
		}
		new.says("backup discard", "", "id")
		if got := new.says("restore latest --live", "", "id"); got != last {
			t.Error("restore: rows that were given up are the latest:", got)
		}
		if n := len(new.says("backups", "", "backups").([]any)); n != 5 {
			t.Error("what was there is not kept:", n)
		}
		new.says("restore "+last+" --to /tmp/x", "", "id")
		if out, _, _ := new.exec("cat /tmp/x/rows", nil); out != "1\n2\n" {
			t.Errorf("%q", out)
		}
		new.says("schedule", "", "scheduled")
		if got := len(s.Snapshot().Backups); got != 5 {
			t.Error(got, "backups are seen")
		}
	})
}

// TestStateFaults: the program fails as it does on a droplet.
func TestStateFaults(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		s.Fault(sandbox.EngineFails("freeze", "disk-full", "old", "no space left on device"))
		old.fails("freeze 30", "", "disk-full old")
		if got := old.phase(); got != "open" {
			t.Error("it failed, and the droplet is", got)
		}
		for _, line := range []string{"dance", "freeze", "freeze x", "freeze 0", "thaw now", "pull all", "prepare --x", "restore", "backup"} {
			if _, _, exit := old.exec("/opt/cattle/state "+line, nil); exit != 64 {
				t.Error(line, "exit", exit)
			}
		}
		new.fails("restore latest --sideways", "", "no-backup ")
		new.fails("pull bulk", "x", "engine new")
		new.fails("freeze 30", "", "engine old")
		var ran []string
		for _, c := range s.Changes() {
			if c.What == sandbox.Ran && c.Droplet == new.id {
				ran = append(ran, c.Note)
			}
		}
		if want := "state-equip state-prepare state-restore state-pull-bulk state-freeze"; strings.Join(ran, " ") != want {
			t.Errorf("ran %q, want %q", ran, want)
		}
	})
}

// TestStateOwn: a standby has its own rows again, until it opens with others.
func TestStateOwn(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		s.add(s.ip, "1")
		carry := func(from, to *box) {
			order := s.lends(from, to, true)
			to.says("pull bulk", order, "done")
			from.says("freeze 30", "", "until_ms")
			to.says("pull delta", order, "done")
			to.says("start 600", "", "phase")
		}
		switchTo := func(from, to *box) {
			from.says("commit 240", "", "phase")
			s.assign(to)
			to.says("thaw", "", "was")
		}
		carry(old, new)
		new.says("start 600 --own", "", "phase")
		if got := s.rows(new.addr); !slices.Equal(got, []string{"1"}) {
			t.Error("a new droplet has no rows of its own to go back to:", got)
		}
		switchTo(old, new)
		s.add(s.ip, "2")
		for range 2 {
			carry(new, old)
			if got := s.rows(old.addr); !slices.Equal(got, []string{"1", "2"}) {
				t.Error("carried:", got)
			}
			for range 2 {
				old.says("start 600 --own", "", "phase")
				if got := s.rows(old.addr); !slices.Equal(got, []string{"1"}) {
					t.Error("its own:", got)
				}
			}
			new.says("thaw", "", "was")
		}
		carry(new, old)
		switchTo(new, old)
		old.says("start 600 --own", "", "phase")
		if got := s.rows(old.addr); !slices.Equal(got, []string{"1", "2"}) {
			t.Error("once it was open:", got)
		}
	})
}

// TestStateUnequipped: a droplet of an older release has no program, and rows
// all the same; once it has been brought, its rows can move.
func TestStateUnequipped(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.addKey()
	data, host := release{version: "v1", attempt: "1", domains: []string{"blog.example.com"}}.userData(t)
	d := r.create(map[string]any{"user_data": data})
	s := &aSite{rig: r}
	old := &box{r.ssh(r.address(d), host), d, r.address(d), host, r}
	defer old.close()
	if _, _, exit := old.exec("/opt/cattle/state prepare", nil); exit != 127 {
		t.Error("exit", exit)
	}
	status := func() any {
		var v map[string]any
		out, _, _ := old.run("status", nil)
		json.Unmarshal([]byte(out), &v)
		return v["state"]
	}
	if got := s.add(old.addr, "1"); got != 201 || status() != nil {
		t.Error("a row:", got, status())
	}
	old.equip(strings.Replace(someSpec, `"db"`, `"data"`, 1))
	if got := old.says("prepare", "", "phase"); got != "open" {
		t.Error(got)
	}
	old.equip(someSpec)
	entries := old.says("prepare", "", "entries")
	if dig(entries, 0, "name") != "data" || dig(entries, 0, "empty") != false {
		t.Error("the spec is another one, or forgets:", entries)
	}
	old.says("freeze 30", "", "phase")
	if got := status(); dig(got, "phase") != "frozen" || dig(got, "backup", "overdue") != false {
		t.Error(got)
	}
	if got := s.add(old.addr, "2"); got != 503 {
		t.Error("a row in the freeze:", got)
	}
	if got := old.says("thaw", "", "was"); got != "frozen" {
		t.Error(got)
	}
}

// TestStateTaggedWall: a Cloud Firewall that lets the site's droplets in to one another.
func TestStateTaggedWall(t *testing.T) {
	withState(t, func(s *aSite, old, new *box) {
		order := s.lends(old, new, true)
		wall := func(tags ...string) map[string]any {
			return map[string]any{"name": "wall", "droplet_ids": []int{old.id}, "inbound_rules": []any{
				map[string]any{"protocol": "tcp", "ports": "80", "sources": map[string]any{"addresses": []string{"0.0.0.0/0"}}},
				map[string]any{"protocol": "tcp", "ports": "22", "sources": map[string]any{"tags": tags}}}}
		}
		s.want(201, "POST", "/v2/tags", map[string]any{"name": "site"})
		s.want(201, "POST", "/v2/tags", map[string]any{"name": "other"})
		s.want(204, "POST", "/v2/tags/site/resources", map[string]any{"resources": []any{map[string]any{"resource_id": fmt.Sprint(new.id), "resource_type": "droplet"}}})
		id := dig(s.want(202, "POST", "/v2/firewalls", wall("other")), "firewall", "id").(string)
		new.fails("pull bulk", order, "cut old")
		s.want(200, "PUT", "/v2/firewalls/"+id, wall("site"))
		new.says("pull bulk", order, "done")
	})
}
