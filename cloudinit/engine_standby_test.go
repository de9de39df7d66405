package cloudinit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestStandbyKeepsItsOwn until all of a copy is there.
func TestStandbyKeepsItsOwn(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	handOff(old, next)
	equip(next, old)
	// More than goes through before the cut, and nothing that the first pass has brought.
	next.python(`import sqlite3; c = sqlite3.connect("app.db"); c.execute("INSERT INTO rows(text) VALUES(hex(randomblob(20000)))"); c.commit()`)
	next.do("freeze", "60")
	next.write("/cut", "3000")
	if code := old.try(next.source(), "pull", "delta").Error.Code; code != "cut" {
		t.Errorf("it fails of %s", code)
	}
	rows := `import sqlite3; print(sqlite3.connect("app.db").execute("SELECT count(*) FROM rows").fetchone()[0])`
	if found := old.python(rows); found != "0" {
		t.Errorf("the standby has %s rows that it did not have", found)
	}
	os.Remove(next.root + "/cut")
	old.succeeds(next.source(), "pull", "delta")
	old.do("start", "60")
	if found := old.python(rows); found != "1" {
		t.Errorf("%s rows were carried", found)
	}
}

// content is all that a droplet's entries have: the files with their modes, and the rows.
func (d *stateDroplet) content() string {
	d.t.Helper()
	list := d.command("/bin/sh", "-c", `cd "$1" && find . -type f -printf '%p %m ' -exec sha256sum {} \; -o -printf '%p %m %l\n' | sort`, "sh", d.root+"/srv/uploads")
	out, err := list.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	return string(out) + d.python(`import sqlite3; print(sqlite3.connect("app.db").execute("SELECT * FROM rows").fetchall())`)
}

// changed has rows and files on a droplet that the standby does not have.
func (d *stateDroplet) changed() {
	d.t.Helper()
	d.python(`import sqlite3; c = sqlite3.connect("app.db"); c.execute("INSERT INTO rows(text) VALUES(hex(randomblob(2000)))"); c.commit()`)
	change := d.command("/bin/sh", "-ec", `cd "$1"; echo more >>1/file; rm -r 2; mkdir -p new/deep; echo new >new/deep/file; chmod 600 3/file; rm 4/file; mkdir 4/file
touch 4/file/inside; rm -r 5; echo "a folder was here" >5; ln -s 1/file link; chmod 711 6; date +%N >7/file`, "sh", d.root+"/srv/uploads")
	if out, err := change.CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
}

// TestStandbyHasItsOwnAgain: a copy that came to a standby, all of it or any part,
// is undone as long as visitors never came to it.
func TestStandbyHasItsOwnAgain(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	old.python(`import sqlite3; sqlite3.connect("app.db").execute("PRAGMA journal_mode=WAL")`)
	handOff(old, next)
	own := old.content()
	next.changed()
	its := next.content()
	is := func(want, when string) {
		t.Helper()
		if got := old.content(); got != want {
			t.Fatalf("%s the standby has\n%s\nwant\n%s", when, got, want)
		}
	}
	for range 6 {
		equip(next, old)
		next.do("freeze", "60")
		after := time.Duration(rand.IntN(500)) * time.Millisecond
		old.killed(after, next.source(), "pull", "delta")
		next.do("thaw")
		old.do("start", "60", "--own")
		is(own, fmt.Sprintf("killed after %v,", after))
	}
	equip(next, old)
	next.do("freeze", "60")
	old.succeeds(next.source(), "pull", "delta")
	old.succeeds(next.source(), "pull", "delta") // an answer was lost
	old.do("start", "60")
	is(its, "carried,")
	old.python(`import sqlite3; c = sqlite3.connect("app.db"); c.execute("PRAGMA user_version=3"); c.execute("INSERT INTO rows(text) VALUES('of the gate')"); c.commit()`)
	old.do("start", "60", "--own")
	is(own, "given up,")
	old.do("start", "60", "--own")
	is(own, "said twice,")
	next.do("thaw")
	equip(next, old)
	next.do("freeze", "60")
	old.succeeds(next.source(), "pull", "delta")
	old.do("start", "60")
	next.do("commit", "240")
	old.makeLive()
	old.do("thaw")
	old.do("start", "60", "--own")
	is(its, "once it is live,")
	left, _ := filepath.Glob(old.data() + "/*.cattle-own*")
	if len(left) > 0 || old.there("/var/lib/cattle/state/aside/uploads") || old.there("/var/lib/cattle/state/own.json") {
		t.Errorf("what was kept is there still: %v", left)
	}
}

// TestAllIsSettledOrNothing: where one entry's copy cannot take its place, no other one's does.
func TestAllIsSettledOrNothing(t *testing.T) {
	old, next := stateDroplets(t, t.TempDir())
	spec := `{"version":1,"app":"blog","entries":[{"name":"db","kind":"sqlite","volume":"data","path":"app.db"},{"name":"second","kind":"sqlite","path":"/srv/second/app.db"}]}`
	for _, d := range []*stateDroplet{old, next} {
		d.write("/etc/cattle/state.json.new", spec)
		d.write("/srv/second/other", "")
		os.Remove(d.root + "/srv/second/other")
	}
	old.python(`import os, sqlite3; c = sqlite3.connect(os.environ["CATTLE_ROOT"] + "/srv/second/app.db"); c.execute("CREATE TABLE rows(id)"); c.commit()`)
	handOff(old, next)
	next.python(`import sqlite3; c = sqlite3.connect("app.db"); c.execute("INSERT INTO rows(text) VALUES('x')"); c.commit()`)
	equip(next, old)
	os.RemoveAll(old.root + "/srv/second")
	old.write("/srv/second", "in the way")
	next.do("freeze", "60")
	old.wants("engine", "", next.source(), "pull", "delta")
	rows := `import sqlite3; print(sqlite3.connect("app.db").execute("SELECT count(*) FROM rows").fetchone()[0])`
	if found := old.python(rows); found != "0" {
		t.Errorf("the first entry has %s rows of the other droplet", found)
	}
	os.Remove(old.root + "/srv/second")
	old.succeeds(next.source(), "pull", "delta")
	if found := old.python(rows); found != "1" {
		t.Errorf("%s rows were carried", found)
	}
}
