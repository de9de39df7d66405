//go:build e2e

package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A trouble is what befalls one release of a site with data. The operator holds
// still meanwhile, so that it is there in time.
type trouble struct {
	name string
	// early is before anything is copied, late before writes are held: then there
	// is more data, too. cure takes back what was done to the old droplet.
	early, late, cure func(t *testing.T, s sides)
	compose, profile  [2]string // of the release: the one in the place of the other
	step, code, words string    // of the reason
}

// sides are the two droplets of a release.
type sides struct {
	*rig
	old, fresh int
	cut        chan time.Time // when a connection was cut, if one was
}

// held tells whether the release gets as far as holding writes.
func (x trouble) held() bool { return x.step == "delta" }

// TestBootedDataTrouble has each engine fail in the ways that are likely: the release
// is refused and says why, and the old droplet takes writes, at once.
func TestBootedDataTrouble(t *testing.T) {
	t.Run("SQLiteAndFiles", func(t *testing.T) {
		r := newRig(t)
		r.troubled(t, troubledSite{state: sqliteState, compose: sqliteCompose, grow: func(t *testing.T, s sides) {
			s.mustPost(t, "/fill?mb=16", "")
			s.mustIn(t, s.old, uploadMore)
		}}, fileTroubles())
	})
	t.Run("Servers", func(t *testing.T) {
		r := newRig(t, fromEnv(t, "CATTLE_E2E_SERVERS"), fromEnv(t, "CATTLE_E2E_OLDER"))
		r.troubled(t, troubledSite{state: twoServersState, compose: twoServersCompose, grow: func(t *testing.T, s sides) {
			s.mustPost(t, "/fill?mb=16", "")
			s.mustIn(t, s.old, inPostgres+`"CREATE TABLE IF NOT EXISTS bulk (body text);
				INSERT INTO bulk SELECT (SELECT string_agg(md5(random()::text || n || i), '') FROM generate_series(1, 512) i) FROM generate_series(1, 1024) n"`)
		}}, serverTroubles())
	})
}

const (
	uploadMore = "head -c 16M /dev/urandom >/var/lib/docker/volumes/rows_uploads/_data/$(date +%s%N)"
	inPostgres = "docker exec rows-crm-1 psql --username=postgres --quiet ledger -c "
	inMariaDB  = "docker exec rows-shop-1 mariadb --user=root --password="
)

const twoServersState = `release: {max_freeze: 60s}
state:
  - name: shop
    mysql: {service: shop, database: ledger, password: "${DB_PASSWORD}"}
  - name: crm
    postgres: {service: crm, database: ledger, password: "${CRM_PASSWORD}"}
`

const twoServersCompose = `services:
  web:
    image: public.example.net/rows:${RELEASE}
    environment: {DATABASE: "mysql:root:${DB_PASSWORD}@tcp(shop:3306)/ledger"}
    expose: ["8000"]
    depends_on: [shop, crm]
  shop:
    image: public.example.net/mariadb:11
    environment: {MARIADB_ROOT_PASSWORD: "${DB_PASSWORD}", MARIADB_DATABASE: ledger}
    volumes: ["shop:/var/lib/mysql"]
  crm:
    image: public.example.net/postgres:17
    environment: {POSTGRES_PASSWORD: "${CRM_PASSWORD}", POSTGRES_DB: ledger}
    volumes: ["crm:/var/lib/postgresql"]
volumes: {shop: {}, crm: {}}
`

func fileTroubles() []trouble {
	const stage, db, uploads = "/var/lib/cattle/state/stage", "/var/lib/docker/volumes/rows_data/_data", "/var/lib/docker/volumes/rows_uploads/_data"
	return []trouble{
		{name: "SQLiteNoRoom", early: disk(stage, "8M"), step: "copy", code: "state-disk-full", words: "db: "},
		{name: "FilesNoRoom", early: disk(uploads, "8M"), step: "copy", code: "state-disk-full", words: "uploads: "},
		{name: "SQLiteFillsUp", early: disk(stage, "1G"), late: fillsUp(stage), step: "delta", code: "state-disk-full", words: "db: "},
		{name: "FilesFillUp", early: disk(uploads, "1G"), late: fillsUp(uploads), step: "delta", code: "state-disk-full", words: "uploads: "},
		// The copy has room beside the volume, and not in it.
		{name: "SQLiteSmallVolume", early: disk(db, "8M"), step: "delta", code: "state-disk-full", words: "db: "},
		{name: "Cut", late: inDelta(cutLink), step: "delta", code: "state-cut", words: "the connection to the other droplet"},
		{name: "Silence", late: inDelta(dropPackets), step: "delta", code: "state-cut", words: "the connection to the other droplet"},
		{name: "FilesCut", late: senderEnds, step: "delta", code: "state-cut", words: "uploads: "},
	}
}

func serverTroubles() []trouble {
	const shop, crm = "/var/lib/docker/volumes/rows_shop/_data", "/var/lib/docker/volumes/rows_crm/_data"
	return []trouble{
		{name: "MariaDBNoRoom", early: disk(shop, "170M"), step: "copy", code: "state-disk-full", words: "shop: "},
		{name: "PostgresNoRoom", early: disk(crm, "72M"), step: "copy", code: "state-disk-full", words: "crm: "},
		{name: "MariaDBFillsUp", early: disk(shop, "1G"), late: fillsUp(shop), step: "delta", code: "state-disk-full", words: "shop: "},
		{name: "PostgresFillsUp", early: disk(crm, "1G"), late: fillsUp(crm), step: "delta", code: "state-disk-full", words: "crm: "},
		{name: "MariaDBPassword", profile: [2]string{"ledger, password: \"${DB_PASSWORD}\"", "ledger, password: \"${OTHER_PASSWORD}\""},
			step: "copy", code: "state-wrong-password", words: "shop: "},
		{name: "PostgresPassword", profile: [2]string{"${CRM_PASSWORD}", "${OTHER_PASSWORD}"}, step: "copy", code: "state-wrong-password", words: "crm: "},
		{name: "MariaDBPasswordChanged", early: says(inMariaDB + `pass -e "ALTER USER root@localhost IDENTIFIED BY 'changed'"`),
			cure: says(inMariaDB + `changed -e "ALTER USER root@localhost IDENTIFIED BY 'pass'"`), step: "copy", code: "state-wrong-password", words: "on the old droplet"},
		{name: "PostgresPasswordChanged", early: says(inPostgres + `"ALTER ROLE postgres PASSWORD 'changed'"`),
			cure: says(inPostgres + `"ALTER ROLE postgres PASSWORD 'pass'"`), step: "copy", code: "state-wrong-password", words: "on the old droplet"},
		{name: "MariaDBOlder", compose: [2]string{"mariadb:11", "mariadb:10"}, step: "copy", code: "state-server-older", words: "older mariadb 10."},
		{name: "PostgresOlder", compose: [2]string{"postgres:17", "postgres:15"}, step: "copy", code: "state-server-older", words: "older postgres 15."},
		{name: "Cut", late: inDelta(cutLink), step: "delta", code: "state-cut", words: "the connection to the other droplet"},
	}
}

// disk gives a folder of the new droplet's a disk of its own.
func disk(folder, size string) func(*testing.T, sides) {
	return func(t *testing.T, s sides) {
		s.mustIn(t, s.fresh, fmt.Sprintf("mkdir -p %[1]s && mount -t tmpfs -o mode=755,size=%[2]s small %[1]s", folder, size))
	}
}

// fillsUp takes all room that a folder has left, which is on a disk of its own.
func fillsUp(folder string) func(*testing.T, sides) {
	return func(t *testing.T, s sides) {
		s.mustIn(t, s.fresh, fmt.Sprintf("mount -o remount,size=$(df --output=used %[1]s | tail -n 1)k %[1]s", folder))
	}
}

// says runs a command on the old droplet.
func says(command string) func(*testing.T, sides) {
	return func(t *testing.T, s sides) { s.mustIn(t, s.old, command) }
}

const (
	cutLink     = "pkill -KILL -x ssh"
	dropPackets = `nft "add table inet cut; add chain inet cut out { type filter hook output priority 0; };
		add rule inet cut out ip daddr $(awk '$1 == "HostName" {print $2}' /run/cattle/link/config) drop"`
)

// inDelta does something on the new droplet in the middle of the delta: before its
// conversations begin, one whose connection is gone makes another.
func inDelta(command string) func(*testing.T, sides) {
	return func(t *testing.T, s sides) {
		go s.cuts(t.Context(), s.fresh, `for i in $(seq 3000); do pgrep -f 'state pull[ ]delta' >/dev/null && pgrep -f ' source[ ]state$' >/dev/null && break; sleep 0.01; done; sleep 0.1; date +%s%N; `+command)
	}
}

// senderEnds kills the old droplet's half of an rsync.
func senderEnds(t *testing.T, s sides) {
	go s.cuts(t.Context(), s.old, `for i in $(seq 3000); do pkill -KILL -f 'rsync [-]-server --sender' && break; sleep 0.01; done; date +%s%N`)
}

// cuts runs what prints, in nanoseconds, when the failure came.
func (s sides) cuts(ctx context.Context, id int, command string) {
	out, _ := s.in(ctx, id, command)
	if ns, err := strconv.ParseInt(out, 10, 64); err == nil {
		s.cut <- time.Unix(0, ns)
	}
}

// A troubledSite is what troubles are tried on.
type troubledSite struct {
	state, compose string
	grow           func(*testing.T, sides) // gives each engine some more data
}

// troubled opens the site, has its releases refused, one after another, and sees
// in the end that one which nothing befalls has all of the data.
func (r *rig) troubled(t *testing.T, site troubledSite, troubles []trouble) {
	values := map[string]string{"DB_PASSWORD": "pass", "CRM_PASSWORD": "pass", "OTHER_PASSWORD": "of-something-else"}
	r.rowsSite(t, site.state, site.compose, values)
	r.opens(t)
	address := "reserved_ip: " + r.sandbox.cloud.Snapshot().ReservedIPs[0].IP + "\n"
	old := r.member(t, "live").ID
	site.grow(t, sides{rig: r, old: old})
	w := r.write(t, "row")
	for _, x := range troubles {
		t.Run(x.name, func(t *testing.T) {
			r.rowsFiles(t, "rows", strings.Replace(site.state, x.profile[0], x.profile[1], 1)+address, strings.Replace(site.compose, x.compose[0], x.compose[1], 1), values)
			r.suffers(t, w, site, x, old)
		})
	}
	r.rowsFiles(t, "rows", site.state+address, site.compose, values)
	r.must(t, exitDone, "v2", "release", "v2")
	w.end()
	acked, _, others := w.seen()
	r.holds(t, acked)
	if len(others) > 0 {
		t.Errorf("%d answers were neither taken nor told to come back: %q", len(others), others[:min(len(others), 5)])
	}
	r.load.Stop()
	if stats := r.load.Stats(); stats.Failed > 0 {
		t.Errorf("%d of %d reads failed%s", stats.Failed, stats.Requests, r.unanswered())
	}
}

// suffers is one release that is refused, and the writer beside it.
func (r *rig) suffers(t *testing.T, w *writer, site troubledSite, x trouble, old int) {
	s := sides{r, old, 0, make(chan time.Time, 1)}
	_, waited, _ := w.seen()
	at := map[string]func(){}
	if x.early != nil {
		at["boot ok"] = func() {
			s.fresh = r.candidate(t)
			x.early(t, s)
		}
	}
	if x.late != nil {
		at["copy ok"] = func() {
			s.fresh = r.candidate(t)
			x.late(t, s)
			site.grow(t, s)
			if r.frozen(t, old) {
				t.Error("writes are held already: that was too late")
			}
		}
	}
	if x.cure != nil {
		defer x.cure(t, s)
	}
	told := r.overhear(t, at, "release", "--json", "v2")
	if !told.says(exitNotReleased, x.code, "v1 still serves: "+x.step+": ", x.words) {
		t.Errorf("exit status %d, and: %+v", told.exit, told.failures)
	}
	if serving, err := r.serving(t.Context()); err != nil || serving != "v1" {
		t.Errorf("%q serves: %v", serving, err)
	}
	if r.frozen(t, old) {
		t.Error("the old droplet still holds writes")
	}
	if left := r.candidates(t); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	select {
	case told.failed = <-s.cut: // which was not known at once
	default:
	}
	var again time.Duration
	eventually(t, "a write", 10*time.Second, func() (taken bool) { again, taken = w.after(told.failed); return taken })
	_, waits, _ := w.seen()
	r.goesOn(t, x, waits[len(waited):], again)
}

// after is how long after a moment the next row was acknowledged.
func (w *writer) after(moment time.Time) (wait time.Duration, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, _ := slices.BinarySearchFunc(w.times, moment, time.Time.Compare)
	if i == len(w.times) {
		return 0, false
	}
	return w.times[i].Sub(moment), true
}

// goesOn holds the writer's own waits to the bar.
func (r *rig) goesOn(t *testing.T, x trouble, waits []time.Duration, again time.Duration) {
	var longest time.Duration
	for _, wait := range waits {
		longest = max(longest, wait)
	}
	fmt.Fprintf(r.printed, "trouble: %-24s %s at %s; writes waited %s in all, %s from the failure on\n", x.name, x.code, x.step,
		longest.Round(10*time.Millisecond), again.Round(10*time.Millisecond))
	switch {
	case again > 5*time.Second:
		t.Errorf("the next write was taken %s after the failure, the bar is 5s", again)
	case !x.held() && longest > 0:
		t.Errorf("a write waited %s, and nothing was to be held", longest)
	case x.held() && longest == 0:
		t.Error("no write ever waited: nothing was held")
	}
}

// candidate is the one droplet that is being released to.
func (r *rig) candidate(t *testing.T) int {
	t.Helper()
	found := r.candidates(t)
	if len(found) != 1 {
		t.Fatalf("there are %d candidates", len(found))
	}
	return found[0].ID
}
