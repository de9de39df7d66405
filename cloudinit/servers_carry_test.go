//go:build servers

package cloudinit

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"
)

// eachServer runs a test on two droplets with MariaDB, and on two with PostgreSQL.
func eachServer(t *testing.T, test func(t *testing.T, older, newer *serverDroplet)) {
	for _, kind := range []serverKind{mariadb, postgres} {
		t.Run(kind.name, func(t *testing.T) {
			older, newer := serverDroplets(t, kind)
			test(t, older, newer)
		})
	}
}

// fails wants a fault.
func (d *serverDroplet) fails(code, side, stdin string, verb ...string) {
	d.t.Helper()
	answer := d.try(stdin, verb...)
	if answer.Error.Code != code || answer.Error.Side != side {
		d.t.Errorf("%v: %+v, want %s of the %s one; %s", verb, answer.Error, code, side, answer.said)
	}
	if strings.Contains(answer.Error.Message+answer.said, "p'w") {
		d.t.Errorf("%v tells the password: %+v %s", verb, answer.Error, answer.said)
	}
}

// TestServersCarry hands an app to and fro while a writer writes past nginx.
func TestServersCarry(t *testing.T) {
	eachServer(t, func(t *testing.T, a, b *serverDroplet) {
		writer := newDBWriter(t, a, b)
		handOff(a.stateDroplet, b.stateDroplet)
		// PostgreSQL counts what a session did a second later.
		for end := time.Now().Add(10 * time.Second); b.do("writes").Total == 0; {
			if time.Now().After(end) {
				t.Fatal("no writes were counted")
			}
		}
		if got := b.sql(b.kind.accounts); got != b.kind.wantAccounts {
			t.Errorf("accounts: %s", got)
		}
		handOff(b.stateDroplet, a.stateDroplet)
		writer.check(a)
		if commands, _ := os.ReadFile(b.root + "/compose"); !strings.Contains(string(commands), "up --detach db") || strings.Contains(string(commands), "p'w") {
			t.Errorf("compose was asked for: %s", commands)
		}
	})
}

// TestServersRefuse: what cannot be carried is known before anything is held.
func TestServersRefuse(t *testing.T) {
	eachServer(t, func(t *testing.T, a, b *serverDroplet) {
		equip(a.stateDroplet, b.stateDroplet)
		b.fails("not-frozen", "old", a.source(), "pull", "delta")
		a.write("/rewrite", a.kind.newer)
		b.fails("server-older", "new", a.source(), "pull", "bulk")
		os.Remove(a.root + "/rewrite")
		for _, side := range []*serverDroplet{a, b} {
			side.write("/run/cattle/secrets.json", `{"PW":"pass"}`) // which is in the server's own words, too
			b.fails("wrong-password", map[bool]string{true: "old", false: "new"}[side == a], a.source(), "pull", "bulk")
			side.write("/run/cattle/secrets.json", `{"PW":"p'w %1"}`)
		}
		os.Remove(a.root + "/running")
		b.fails("engine", "old", a.source(), "pull", "bulk")
		a.write("/logs", "db-1  | PANIC:  could not write to file \"pg_wal/xlogtemp.1\": No space left on device\n")
		b.fails("disk-full", "old", a.source(), "pull", "bulk")
	})
}

// TestServersCut: the connection ends in the middle of the copy that writers wait
// for; the old droplet goes on, and nothing half is left on the new one.
func TestServersCut(t *testing.T) {
	eachServer(t, func(t *testing.T, a, b *serverDroplet) {
		a.sql(a.kind.big)
		equip(a.stateDroplet, b.stateDroplet)
		writer := newDBWriter(t, a, b)
		time.Sleep(300 * time.Millisecond)
		a.sql("UPDATE " + a.table("pages") + " SET slug = 'changed' WHERE id = 1")
		a.do("freeze", "60")
		held := len(a.rows())
		a.write("/cut", "1000000")
		b.fails("cut", "new", a.source(), "pull", "delta")
		if now := len(a.rows()); now != held {
			t.Errorf("%d rows were written to a held server", now-held)
		}
		began := time.Now()
		a.do("thaw")
		for len(a.rows()) == held {
			if time.Since(began) > 5*time.Second {
				t.Fatal("thawed, the old droplet takes no rows")
			}
		}
		t.Logf("thawed after %v", time.Since(began).Round(time.Millisecond))
		os.Remove(a.root + "/cut")
		handOff(a.stateDroplet, b.stateDroplet)
		writer.check(b)
	})
}

// TestServersHold: a transaction that was open is over, and a server that was
// killed meanwhile is held again.
func TestServersHold(t *testing.T) {
	eachServer(t, func(t *testing.T, a, b *serverDroplet) {
		equip(a.stateDroplet, b.stateDroplet)
		cmd := a.inside()
		stdin, _ := cmd.StdinPipe()
		stdout, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer stdin.Close()
		stdin.Write([]byte(a.kind.opened))
		if scanner := bufio.NewScanner(stdout); !scanner.Scan() || scanner.Text() != "open" {
			t.Fatalf("a transaction is not open: %q", scanner.Text())
		}
		a.do("freeze", "60")
		stdin.Write([]byte(a.kind.commits))
		a.end()
		a.begin()
		writer := newDBWriter(t, a, b)
		var answer engineAnswer
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
			if answer = b.try(a.source(), "pull", "delta"); answer.Error.Code == "" {
				break
			}
		}
		if answer.Error.Code != "" {
			t.Errorf("the server that was started again is not held: %+v", answer.Error)
		}
		if rows := b.rows(); len(rows) > 0 && rows[0] == "-1" {
			t.Error("the open transaction was committed")
		}
		a.do("thaw")
		for end := time.Now().Add(10 * time.Second); len(a.rows()) < 100 && time.Now().Before(end); {
			time.Sleep(50 * time.Millisecond)
		}
		writer.check(a)
	})
}

// TestServersDump: what a backup takes brings back what was there.
func TestServersDump(t *testing.T) {
	eachServer(t, func(t *testing.T, a, _ *serverDroplet) {
		a.do("prepare")
		state := func(lines string) string {
			t.Helper()
			cmd := a.command("python3", "-c", "import sys; sys.path.insert(0, '"+a.root+"/opt/cattle/state')\nimport entries, json, machine\nentry = entries.of(machine.spec())[0]\n"+lines)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return string(out)
		}
		folder := t.TempDir()
		before := state("entry.dump('" + folder + "'); entry.whole('" + folder + "'); print(json.dumps(entry.sums(entry.databases[0]), sort_keys=True))")
		a.sql("DELETE FROM " + a.table("things") + "; DROP VIEW " + a.table("cheap"))
		if after := state("entry.load('" + folder + "'); entry.release(); print(json.dumps(entry.sums(entry.databases[0]), sort_keys=True))"); trimEvents(after) != trimEvents(before) {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
	})
}

// trimEvents leaves out the table that MariaDB's event adds to by itself.
func trimEvents(sums string) string {
	before, rest, _ := strings.Cut(sums, `"empty_": `)
	_, after, _ := strings.Cut(rest, "]")
	before2, after2, _ := strings.Cut(after, `"empty_": `)
	_, after2, _ = strings.Cut(after2, ",")
	return before + before2 + after2
}

// TestServersTime prints how long writers of 200 MB wait. It judges nothing but
// that no row is lost.
func TestServersTime(t *testing.T) {
	eachServer(t, func(t *testing.T, a, b *serverDroplet) {
		a.sql(a.kind.big)
		writer := newDBWriter(t, a, b)
		equip(a.stateDroplet, b.stateDroplet)
		began := time.Now()
		a.do("freeze", "240")
		frozen := time.Now()
		b.succeeds(a.source(), "pull", "delta")
		copied := time.Now()
		b.do("start", "600")
		a.do("commit", "240")
		b.makeLive()
		b.do("thaw")
		t.Logf("200 MB of %s: held within %v, copied and compared in %v, writers waited %v", a.kind.name, frozen.Sub(began).Round(time.Millisecond),
			copied.Sub(frozen).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		writer.check(b)
	})
}
