//go:build servers

package cloudinit

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// carried are the bytes of a pull.
func (d *serverDroplet) carried(source string, pass string) int {
	d.t.Helper()
	cmd := d.command(d.root+"/opt/cattle/state", "pull", pass)
	cmd.Stdin = strings.NewReader(source)
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("pull %s: %v: %s", pass, err, out)
	}
	for line := range strings.Lines(string(out)) {
		var result struct {
			Bytes    int
			Estimate *int `json:"estimate_ms"`
			Entry    string
		}
		if json.Unmarshal([]byte(line), &result) == nil && result.Entry != "" && result.Estimate != nil {
			return result.Bytes
		}
	}
	d.t.Fatalf("pull %s says nothing of an entry: %s", pass, out)
	return 0
}

// TestServersPart: of MariaDB the second pass carries what changed alone, and what
// holds tables together holds afterwards.
func TestServersPart(t *testing.T) {
	a, b := serverDroplets(t, mariadb)
	a.sql("SET GLOBAL event_scheduler=OFF; " + strings.ReplaceAll(a.kind.big, "200000", "5000"))
	equip(a.stateDroplet, b.stateDroplet)
	for _, change := range []struct {
		name, sql string
		least     int // bytes that are carried
		most      int
		look      string // SQL, whose answer has to be the same there
	}{
		{"nothing", "DO 1", 0, 0, "CHECKSUM TABLE shop.pages"},
		{"a parent's name", "UPDATE shop.parents SET name = 'uno'", 1, 10_000, "SELECT name FROM shop.parents"},
		{"a child's parent", "INSERT INTO shop.parents VALUES (2, 'two'); UPDATE shop.children SET parent = 2", 1, 10_000, "SELECT * FROM shop.children"},
		{"a table with a trigger", "UPDATE shop.things SET f = 1 WHERE id = 7", 1, 1_000_000, "SELECT trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema = 'shop'"},
		{"a number that was given and taken back", "BEGIN; INSERT INTO shop.pages(slug) VALUES ('x'); ROLLBACK; SELECT NEXTVAL(shop.counter_)", 1, 10_000_000,
			"SELECT next_not_cached_value FROM shop.counter_"},
		{"a sequence", "DO SETVAL(shop.counter_, 20000)", 0, 0, "SELECT next_not_cached_value FROM shop.counter_"},
		{"two rows exchanged", "UPDATE shop.pages SET slug = IF(id = 1, 'page-2', 'page-1') WHERE id IN (1, 2)", 1_000_000, 10_000_000, "SELECT slug FROM shop.pages ORDER BY id LIMIT 2"},
		{"an index", "CREATE INDEX body ON shop.pages(body(20))", 5_000_000, 100_000_000, "SHOW CREATE TABLE shop.pages"},
		{"a comment", "ALTER TABLE shop.parents COMMENT = 'x'", 5_000_000, 100_000_000, "SHOW CREATE TABLE shop.parents"},
		{"a view", "CREATE OR REPLACE VIEW shop.cheap AS SELECT id FROM shop.things WHERE price < 4", 5_000_000, 100_000_000, "SHOW CREATE VIEW shop.cheap"},
		{"a routine", "DROP PROCEDURE shop.nothing; CREATE PROCEDURE shop.nothing() SELECT 2", 5_000_000, 100_000_000, "SHOW CREATE PROCEDURE shop.nothing"},
		{"a default", "ALTER DATABASE shop CHARACTER SET utf8mb4", 5_000_000, 100_000_000, "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = 'shop'"},
		{"a table", "CREATE TABLE shop.more (id INT)", 5_000_000, 100_000_000, "SHOW CREATE TABLE shop.more"},
	} {
		a.sql(change.sql)
		a.do("freeze", "60")
		if moved := b.carried(a.source(), "delta"); moved < change.least || moved > change.most {
			t.Errorf("%s: %d bytes were carried, want %d to %d", change.name, moved, change.least, change.most)
		}
		a.do("thaw")
		if there, here := a.sql(change.look), b.sql(change.look); there != here || there == "" {
			t.Errorf("%s: %s is %s there and %s here", change.name, change.look, there, here)
		}
	}
	orphan := "INSERT IGNORE INTO shop.children VALUES (9, 999); SELECT COUNT(*) FROM shop.children WHERE id = 9"
	if got := b.sql(orphan); got != "0" {
		t.Error("a child has no parent")
	}
	if there, here := a.sql("SHOW CREATE TABLE shop.children"), b.sql("SHOW CREATE TABLE shop.children"); there != here {
		t.Errorf("the key is %s there and %s here", there, here)
	}
	if got := b.sql("SELECT COUNT(*) FROM shop.cheap"); got == "0" {
		t.Error("the view has no rows")
	}
}

// TestServersKeep: whatever a copy to a standby fails of, it has its own afterwards.
func TestServersKeep(t *testing.T) {
	eachServer(t, func(t *testing.T, a, b *serverDroplet) {
		if a.kind.name == "mariadb" {
			a.sql("DROP EVENT shop.ticks")
		}
		handOff(a.stateDroplet, b.stateDroplet)
		own := a.rows()
		b.sql("INSERT INTO " + b.table("rows_") + " VALUES (4711, 'row'); UPDATE " + b.table("things") + " SET name = 'spoiled'")
		equip(b.stateDroplet, a.stateDroplet)
		kept := func(when string) {
			t.Helper()
			if rows := a.rows(); !slices.Equal(rows, own) {
				t.Errorf("%s, the standby has %d rows, had %d", when, len(rows), len(own))
			}
			if spoiled := a.sql("SELECT COUNT(*) FROM " + a.table("things") + " WHERE name = 'spoiled'"); spoiled != "0" {
				t.Errorf("%s, %s of the standby's rows are another droplet's", when, spoiled)
			}
		}
		kept("after the first pass")
		b.do("freeze", "60")
		b.write("/cut", "20000")
		a.fails("cut", "new", b.source(), "pull", "delta")
		os.Remove(b.root + "/cut")
		kept("after a cut")
		// What came is no dump any more where it is put in place.
		a.write("/refuse", "s/spoiled/spoi'led/")
		a.fails("engine", "new", b.source(), "pull", "delta")
		os.Remove(a.root + "/refuse")
		kept("after a refusal")
		carried := func() {
			t.Helper()
			if rows := a.rows(); !slices.Contains(rows, "4711") {
				t.Errorf("the rows that were to be carried are not there: %v", rows)
			}
		}
		a.succeeds(b.source(), "pull", "delta")
		carried()
		a.do("start", "60", "--own")
		kept("after it was given up")
		// Whoever is killed, and whenever, leaves what can be undone. Loading takes long.
		a.write("/refuse", "/spoiled/e sleep 1")
		for range 4 {
			a.succeeds(b.source(), "pull", "bulk")
			after := time.Duration(300+rand.IntN(1500)) * time.Millisecond
			t.Logf("killed after %v", after)
			a.killed(after, b.source(), "pull", "delta")
			a.do("start", "60", "--own")
			kept("after a kill")
		}
		os.Remove(a.root + "/refuse")
		a.succeeds(b.source(), "pull", "bulk")
		a.succeeds(b.source(), "pull", "delta")
		a.makeLive()
		a.do("thaw")
		carried()
		if a.kind.name == "postgres" {
			if left := a.sql("SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_\\_%'"); left != "0" {
				t.Errorf("%s databases are left over", left)
			}
		}
	})
}

// TestServersMissing: a name that the server has no database by, and another one
// that has something in it, is the profile's mistake.
func TestServersMissing(t *testing.T) {
	eachServer(t, func(t *testing.T, a, _ *serverDroplet) {
		spec, _ := os.ReadFile(a.root + "/etc/cattle/state.json.new")
		name := map[string]string{"mariadb": "shop", "postgres": "crm"}[a.kind.name]
		a.write("/etc/cattle/state.json.new", strings.ReplaceAll(string(spec), `["`+name+`"]`, `["typo"]`))
		a.fails("entry-missing", "", "", "prepare")
		if a.kind.name == "mariadb" {
			a.sql("DROP DATABASE shop; CREATE DATABASE empty_")
		} else {
			a.sql("DROP DATABASE crm", "--dbname=postgres")
			a.sql("CREATE DATABASE empty_", "--dbname=postgres")
		}
		a.do("prepare")
	})
}
