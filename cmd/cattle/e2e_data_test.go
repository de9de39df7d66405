//go:build e2e

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cattle/droplets"
	"cattle/droplets/release/probe"
	"cattle/profiles"
	"cattle/secrets"
)

// The app of these tests is testdata/rows: it keeps what it acknowledges. A
// writer posts numbered rows all the time, through every release.

// soaking runs the whole table of docs/data.md, in hours; without it a part of it is
// played on smaller data.
func soaking() bool { return os.Getenv("CATTLE_SOAK_DATA") != "" }

// whole is a number of the soak's, part that of an ordinary run.
func whole(soak, part int) int {
	if soaking() {
		return soak
	}
	return part
}

const rowsProfile = `app: rows
domain: rows.example.com
droplet: {region: fra1, size: s-2vcpu-4gb}
compose: compose.yaml
routes: [{to: "web:8000"}]
health: {path: /up, interval: 100ms, successes: 3, deadline: 30s}
tls: {email: owner@example.net}
`

// rowsSite lays a site of rows out, and makes it the rig's.
func (r *rig) rowsSite(t *testing.T, more, compose string, values map[string]string) {
	t.Helper()
	r.file = r.rowsFiles(t, "rows", more+"reserved_ip: "+r.reserve(t)+"\n", compose, values)
	r.dir = filepath.Dir(r.file)
	var faults profiles.Diagnostics
	r.profile, faults = profiles.Load(r.file, profiles.Options{SecretNames: secrets.Names})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
}

// reserve makes the site's address, and leads its name there: so its first
// release has a certificate.
func (r *rig) reserve(t *testing.T) string {
	t.Helper()
	if err := r.sandbox.post(t.Context(), "/v2/reserved_ips", map[string]string{"region": "fra1"}); err != nil {
		t.Fatal(err)
	}
	ip := r.sandbox.cloud.Snapshot().ReservedIPs[0].IP
	if err := r.sandbox.post(t.Context(), "/v2/domains", map[string]string{"name": "rows.example.com", "ip_address": ip}); err != nil {
		t.Fatal(err)
	}
	return ip
}

// opens releases the first version, and begins to read the site 200 times a second.
func (r *rig) opens(t *testing.T) {
	t.Helper()
	r.must(t, exitDone, "v1", "release", "v1")
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.visit(t.Context(), st.IP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.load.Stop(); r.identity.Stop() })
}

// rowsFiles writes the profile into a folder of that name.
func (r *rig) rowsFiles(t *testing.T, folder, more, compose string, values map[string]string) string {
	t.Helper()
	var pairs []secrets.Pair
	for name, value := range values {
		if !strings.Contains(more+compose, "${"+name+"}") {
			continue
		}
		pairs = append(pairs, secrets.Pair{Name: name, Value: secrets.NewString(value)})
	}
	files := map[string]string{"cattle.yaml": rowsProfile + more, "compose.yaml": compose}
	if len(pairs) > 0 {
		sealed, err := secrets.Encrypt(secrets.Dotenv, pairs, r.recipient(t))
		if err != nil {
			t.Fatal(err)
		}
		files["secrets.env"] = string(sealed)
		files["cattle.yaml"] += "secrets: {file: secrets.env}\n"
	}
	return r.site(t, folder, files)
}

const sqliteCompose = `services:
  web:
    image: public.example.net/rows:${RELEASE}
    environment: {DATABASE: "sqlite:/data/rows.db"}
    volumes: ["data:/data", "uploads:/uploads"]
    expose: ["8000"]
volumes: {data: {}, uploads: {}}
`

const sqliteState = `state:
  - name: db
    sqlite: data:rows.db
  - name: uploads
    files: uploads
`

// A writer posts numbered rows, one after another, and repeats what was not
// acknowledged.
type writer struct {
	door   probe.Door
	prefix string // of its rows' ids
	stop   context.CancelFunc
	ended  sync.WaitGroup
	mu     sync.Mutex
	acked  []string
	times  []time.Time     // when each was
	waits  []time.Duration // of rows that were not taken at once
	others []string        // answers that are neither 201 nor 503 with Retry-After
}

func (r *rig) write(t *testing.T, prefix string) *writer {
	t.Helper()
	door := r.entrance(t)
	ctx, stop := context.WithCancel(t.Context())
	w := &writer{door: door, prefix: prefix, stop: stop}
	w.ended.Go(func() { w.loop(ctx) })
	t.Cleanup(w.end)
	return w
}

func (w *writer) end() { w.stop(); w.ended.Wait() }

func (w *writer) loop(ctx context.Context) {
	client := w.door.Client()
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%s-%06d", w.prefix, n)
		start, tries := time.Now(), 0
		for ; ctx.Err() == nil && !w.post(ctx, client, id); tries++ {
			time.Sleep(20 * time.Millisecond)
		}
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		w.acked, w.times = append(w.acked, id), append(w.times, time.Now())
		if tries > 0 {
			w.waits = append(w.waits, time.Since(start))
		}
		w.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

// post tells whether the row was acknowledged. What was not may be there all the
// same: an answer can be lost.
func (w *writer) post(ctx context.Context, client *http.Client, id string) bool {
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(within, "POST", "https://"+w.door.Host+"/rows", strings.NewReader(id))
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			w.other(err.Error())
		}
		return false
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	switch {
	case res.StatusCode == http.StatusCreated:
		return true
	case res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "":
		w.other(res.Status)
	}
	return false
}

func (w *writer) other(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.others = append(w.others, time.Now().Format("15:04:05.000 ")+what)
}

func (w *writer) seen() (acked []string, waits []time.Duration, others []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.acked), slices.Clone(w.waits), slices.Clone(w.others)
}

// rows asks the site for all that it has.
func (r *rig) rows(t *testing.T) []string {
	t.Helper()
	status, body, _ := r.get(t, t.Context(), "GET", "/rows", "")
	if status != http.StatusOK {
		t.Fatalf("GET /rows: %d %s", status, body)
	}
	return strings.Fields(body)
}

// holds compares what was acknowledged with what is there: each once, in order.
func (r *rig) holds(t *testing.T, acked []string) {
	t.Helper()
	have := r.rows(t)
	at, lost, twice := map[string]int{}, 0, 0
	for i, id := range have {
		if _, seen := at[id]; seen {
			twice++
		}
		at[id] = i
	}
	last := -1
	for _, id := range acked {
		i, there := at[id]
		switch {
		case !there:
			lost++
		case i < last:
			t.Errorf("%s is out of order", id)
		default:
			last = i
		}
	}
	fmt.Fprintf(r.printed, "rows: acknowledged %d, there %d, lost %d, duplicated %d\n", len(acked), len(have), lost, twice)
	if lost+twice > 0 {
		t.Errorf("lost %d, duplicated %d", lost, twice)
	}
}

// freezes prints how long rows had to wait, and holds them to the bars. Those are
// the soak's: a few waits, on a computer that does other things too, are no figure.
func (r *rig) freezes(t *testing.T, waits []time.Duration, median, worst time.Duration) {
	t.Helper()
	if !soaking() {
		median, worst = max(median, ordinaryWait), max(worst, ordinaryWait)
	}
	long := slices.DeleteFunc(slices.Clone(waits), func(d time.Duration) bool { return d < 200*time.Millisecond })
	slices.Sort(long)
	if len(long) == 0 {
		t.Error("no row ever waited: nothing was frozen")
		return
	}
	mid := (long[(len(long)-1)/2] + long[len(long)/2]) / 2
	fmt.Fprintf(r.printed, "writes waited %d times: median %s, worst %s\n", len(long), mid.Round(time.Millisecond), long[len(long)-1].Round(time.Millisecond))
	if mid > median || long[len(long)-1] > worst {
		t.Errorf("median %s (bar %s), worst %s (bar %s): %s", mid, median, long[len(long)-1], worst, long)
	}
}

// ordinaryWait is what no freeze of a small database takes.
const ordinaryWait = 10 * time.Second

// command is one that is not begun yet, with what it says printed.
func (r *rig) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "cattle"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, r.printed, r.printed
	fmt.Fprintf(r.printed, "\n$ cattle %s\n", strings.Join(args, " "))
	return cmd
}

// begin starts a command, for tests that end it.
func (r *rig) begin(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := r.command(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// frozen tells whether a droplet holds writes.
func (r *rig) frozen(t *testing.T, id int) bool {
	_, err := r.in(t.Context(), id, "test -e /var/lib/cattle/state/frozen")
	return err == nil
}

// cutDelta ends the copying on the candidate as soon as it is at the delta.
func cutDelta(ctx context.Context, r *rig, id int) {
	r.in(ctx, id, `for i in $(seq 6000); do pgrep -f 'state pull[ ]delta' >/dev/null && break; sleep 0.02; done; pkill -KILL -f 'state pull[ ]delta'; pkill -KILL -f 'ssh .*state[ ]serve|ssh: .*master'; true`)
}

// TestBootedDataSQLite is an SQLite file of 100 MB and a folder, under a writer
// that never stops, through releases, rebuilds, rollbacks, one that is refused
// half way through the delta and one whose operator is killed while writes wait.
func TestBootedDataSQLite(t *testing.T) {
	r := newRig(t)
	r.rowsSite(t, sqliteState, sqliteCompose, nil)
	r.opens(t)
	r.mustPost(t, fmt.Sprintf("/fill?mb=%d", 100), "")
	w := r.write(t, "row")
	version := 1
	next := func() string { version++; return fmt.Sprintf("v%d", version) }

	for range whole(9, 2) {
		v := next()
		r.must(t, exitDone, v, "release", v)
	}
	r.killedWhileFrozen(t, "v3-broken")
	r.refusedInDelta(t, fmt.Sprintf("v%d", version), "v3-broken")
	for range whole(2, 1) {
		r.must(t, exitDone, fmt.Sprintf("v%d", version), "rebuild")
	}
	for i := range whole(2, 1) {
		if i == 0 {
			r.decides(t, fmt.Sprintf("v%d", version))
		}
		r.must(t, exitDone, fmt.Sprintf("v%d", version), "rollback", "--carry-data")
		r.must(t, exitDone, fmt.Sprintf("v%d", version), "unpin")
	}
	time.Sleep(time.Second)
	w.end()
	acked, waits, others := w.seen()
	r.holds(t, acked)
	r.freezes(t, waits, 2*time.Second, 4*time.Second)
	if len(others) > 0 {
		t.Errorf("%d answers were neither taken nor told to come back: %q", len(others), others[:min(len(others), 5)])
	}
	r.load.Stop()
	if stats := r.load.Stats(); stats.Failed > 0 {
		t.Errorf("%d of %d reads failed%s", stats.Failed, stats.Requests, r.unanswered())
	} else {
		fmt.Fprintf(r.printed, "reads: %d, failed 0, longest gap %s\n", stats.Requests, stats.Gap.Round(time.Millisecond))
	}
	r.oneCertificate(t)
}

// unanswered are the reads that failed: when, and of what.
func (r *rig) unanswered() (text string) {
	for _, s := range r.load.Samples() {
		if !s.Answered {
			text += fmt.Sprintf("; at %s, after %s: %v", s.Asked.UTC().Format("15:04:05.000"), s.Ended.Sub(s.Asked).Round(time.Millisecond), s.Why)
		}
	}
	return text
}

// mustPost asks the site for something that changes it.
func (r *rig) mustPost(t *testing.T, path, body string) {
	t.Helper()
	if status, said, _ := r.get(t, t.Context(), "POST", path, body); status >= 300 {
		t.Fatalf("POST %s: %d %s", path, status, said)
	}
}

// killedWhileFrozen ends an operator with no chance to thaw: the droplet does.
func (r *rig) killedWhileFrozen(t *testing.T, version string) {
	t.Helper()
	live := r.member(t, "live").ID
	cmd := r.begin(t, "release", version)
	eventually(t, "the freeze", 3*time.Minute, func() bool { return r.frozen(t, live) })
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	took := eventually(t, "the thaw", time.Minute, func() bool { return !r.frozen(t, live) })
	fmt.Fprintf(r.printed, "killed while frozen: writes again after %s\n", took.Round(100*time.Millisecond))
	if _, exit := r.run(t, "gc"); exit != exitDone {
		// Its lease is not over: the next release waits for nobody that is dead.
		out, _ := r.run(t, "status")
		t.Log(out)
	}
	for _, d := range r.candidates(t) {
		r.run(t, "gc", "--attempt", d.Attempt)
	}
}

func (r *rig) candidates(t *testing.T) (out []dropletJSON) {
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Droplets {
		if d.Role == "candidate" || d.Role == "orphan" {
			out = append(out, d)
		}
	}
	return out
}

// refusedInDelta cuts the copying while writes wait: the old one takes them again
// within five seconds.
func (r *rig) refusedInDelta(t *testing.T, serving, version string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.meddle(ctx, cutDelta)
	live := r.member(t, "live").ID
	held := make(chan time.Duration, 1)
	go func() {
		for !r.frozen(t, live) && ctx.Err() == nil {
		}
		start := time.Now()
		for r.frozen(t, live) && ctx.Err() == nil {
		}
		held <- time.Since(start)
	}()
	r.must(t, exitNotReleased, serving, "release", version)
	took := <-held
	fmt.Fprintf(r.printed, "cut in the delta: writes waited %s in all\n", took.Round(10*time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("writes waited %s, the bar is 5s", took)
	}
}

// decides: without a decision a rollback moves nothing.
func (r *rig) decides(t *testing.T, serving string) {
	t.Helper()
	out := r.must(t, exitInput, serving, "rollback")
	for _, want := range []string{"--carry-data", "--discard-data"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %s", want)
		}
	}
}

// oneCertificate: of all these droplets one asked for a certificate, and the
// last one could renew it.
func (r *rig) oneCertificate(t *testing.T) {
	t.Helper()
	live := r.member(t, "live").ID
	if out := r.mustIn(t, live, "ls /etc/letsencrypt/archive/cattle/ | grep -c fullchain"); out != "1" {
		t.Errorf("%s certificates were issued", out)
	}
	r.mustIn(t, live, "test -L /etc/letsencrypt/live/cattle/fullchain.pem")
	if out, err := r.in(t.Context(), live, "certbot renew --dry-run --no-random-sleep-on-renew"); err != nil {
		t.Errorf("a renewal would fail: %v\n%s", err, out)
	}
}

// TestBootedDataFiles is a folder of many files that changes all the time.
func TestBootedDataFiles(t *testing.T) {
	r := newRig(t)
	r.rowsSite(t, sqliteState, sqliteCompose, nil)
	r.opens(t)
	n := whole(20000, 5000)
	for done := 0; done < n; done += 1000 {
		r.mustPost(t, "/tree?n=1000", "")
		r.mustIn(t, r.member(t, "live").ID, fmt.Sprintf(`cd /var/lib/docker/volumes/rows_uploads/_data && mkdir -p t%d && mv d* t%d/`, done, done))
	}
	ctx, stop := context.WithCancel(t.Context())
	var kept []string
	var ended sync.WaitGroup
	door := r.entrance(t)
	ended.Go(func() { kept = upload(ctx, door) })
	w := r.write(t, "row")
	r.must(t, exitDone, "v2", "release", "v2")
	time.Sleep(time.Second)
	stop()
	ended.Wait()
	w.end()
	acked, waits, _ := w.seen()
	r.holds(t, acked)
	r.freezes(t, waits, time.Minute, time.Minute)
	live := r.member(t, "live").ID
	list := r.mustIn(t, live, "cd /var/lib/docker/volumes/rows_uploads/_data && find . -type f | wc -l; ls")
	lost := 0
	for _, name := range kept {
		if !strings.Contains(list, name) {
			lost++
		}
	}
	fmt.Fprintf(r.printed, "uploads: acknowledged %d, lost %d; files %s\n", len(kept), lost, strings.Fields(list)[0])
	if lost > 0 {
		t.Errorf("lost %d of %d uploads", lost, len(kept))
	}
	const tree = `cd /var/lib/docker/volumes/rows_uploads/_data/t0 && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; stat --format='%u:%g %a' . d0000 d0000/f00`
	if one, two := r.mustIn(t, live, tree), r.mustIn(t, r.member(t, "standby").ID, tree); one != two {
		t.Errorf("the trees differ:\n%s\n%s", one, two)
	}
}

// upload keeps files until ctx ends, and returns the names of those that were
// acknowledged.
func upload(ctx context.Context, door probe.Door) (kept []string) {
	client := door.Client()
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("upload-%06d", n)
		for ctx.Err() == nil {
			res, err := client.Post("https://"+door.Host+"/files/"+name, "text/plain", strings.NewReader(strings.Repeat(name, 100)))
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusCreated {
					kept = append(kept, name)
					break
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return kept
}

// A server is what TestBootedDataServers puts rows into.
type rowsServer struct{ name, service, database, state string }

func rowsServers() []rowsServer {
	return []rowsServer{
		{"mariadb", `    image: public.example.net/mariadb:11
    environment: {MARIADB_ROOT_PASSWORD: "${DB_PASSWORD}", MARIADB_DATABASE: ledger}
    volumes: ["db:/var/lib/mysql"]
`, "mysql:root:${DB_PASSWORD}@tcp(db:3306)/ledger", `mysql: {service: db, database: ledger, password: "${DB_PASSWORD}"}`},
		{"postgres", `    image: public.example.net/postgres:17
    environment: {POSTGRES_PASSWORD: "${DB_PASSWORD}", POSTGRES_DB: ledger}
    volumes: ["db:/var/lib/postgresql"]
`, "postgres:postgres://postgres:${DB_PASSWORD}@db:5432/ledger", `postgres: {service: db, database: ledger, password: "${DB_PASSWORD}"}`},
	}
}

func (s rowsServer) compose() string {
	return "services:\n  web:\n    image: public.example.net/rows:${RELEASE}\n    environment: {DATABASE: \"" + s.database + "\"}\n" +
		"    volumes: [\"uploads:/uploads\"]\n    expose: [\"8000\"]\n    depends_on: [db]\n  db:\n" + s.service + "volumes: {db: {}, uploads: {}}\n"
}

func (s rowsServer) profile() string {
	return "state:\n  - name: rows\n    " + s.state + "\n  - name: uploads\n    files: uploads\nrelease: {max_freeze: 120s, migrate: {service: web, command: migrate}}\n"
}

// TestBootedDataServers are a MariaDB and a PostgreSQL from Debian's packages,
// each behind the same app under the same writer.
func TestBootedDataServers(t *testing.T) {
	for _, s := range rowsServers() {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t, fromEnv(t, "CATTLE_E2E_SERVERS"))
			r.rowsSite(t, s.profile(), s.compose(), map[string]string{"DB_PASSWORD": "pass-of-" + s.name})
			r.opens(t)
			r.mustPost(t, fmt.Sprintf("/fill?mb=%d", whole(200, 20)), "")
			w := r.write(t, "row")
			r.must(t, exitDone, "v2", "release", "v2")
			r.refusedInDelta(t, "v2", "v3-broken")
			r.must(t, exitDone, "v1", "rollback", "--carry-data")
			time.Sleep(time.Second)
			w.end()
			acked, waits, _ := w.seen()
			r.holds(t, acked)
			r.freezes(t, waits, 2*time.Minute, 2*time.Minute)
		})
	}
}

// TestBootedBackupS3 loses a droplet: the next release begins from the last backup.
func TestBootedBackupS3(t *testing.T) {
	r := newRig(t)
	r.sandbox.world.internet.Objects.Login("AKIAEXAMPLE")
	r.backedUp(t, `backup: {repository: "s3:https://objects.example.net/rows", password: "${RESTIC_PASSWORD}", env: {AWS_ACCESS_KEY_ID: "${S3_KEY}", AWS_SECRET_ACCESS_KEY: "${S3_SECRET}"}}`+"\n",
		map[string]string{"RESTIC_PASSWORD": "of the repository", "S3_KEY": "AKIAEXAMPLE", "S3_SECRET": "secret-of-the-store"})
}

// TestBootedBackupSFTP is the same with an SFTP server.
func TestBootedBackupSFTP(t *testing.T) {
	r := newRig(t)
	values := map[string]string{"RESTIC_PASSWORD": "of the repository"}
	r.backedUp(t, r.sftpBackup(t, values), values)
}

func (r *rig) backedUp(t *testing.T, backup string, values map[string]string) {
	t.Helper()
	r.rowsSite(t, sqliteState+backup, sqliteCompose, values)
	r.opens(t)
	w := r.write(t, "row")
	time.Sleep(3 * time.Second)
	w.end()
	acked, _, _ := w.seen()
	if out, exit := r.run(t, "backup"); exit != exitDone {
		t.Fatal(exit, out)
	}
	if out, exit := r.run(t, "backup", "--verify"); exit != exitDone {
		t.Error(exit, out)
	}
	later := r.discards(t, acked)
	r.loses(t)
	out := r.must(t, exitDone, "v3", "release", "v3")
	if !strings.Contains(out, "the data is of 20") {
		t.Error("it does not say from when the data are")
	}
	r.holds(t, slices.Concat(acked, later))
}

// delete orders it of the API, without cattle.
func (r *rig) delete(t *testing.T, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "DELETE", r.sandbox.env["DIGITALOCEAN_API_URL"]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+sandboxToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatal(path, err, res)
	}
	res.Body.Close()
}

// sftpBackup tells the world's SFTP server a key, and returns the profile's words for it.
func (r *rig) sftpBackup(t *testing.T, values map[string]string) string {
	t.Helper()
	pair, err := droplets.NewHostKey()
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(pair.Public))
	if err != nil {
		t.Fatal(err)
	}
	files := r.sandbox.world.internet.Files
	files.Login("keeper", public)
	values["BACKUP_SSH_KEY"] = pair.Private
	host := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(files.HostKey())))
	return fmt.Sprintf("backup: {repository: \"sftp:keeper@backup.example.net:/rows\", password: \"${RESTIC_PASSWORD}\", ssh_key: \"${BACKUP_SSH_KEY}\", known_host: \"backup.example.net %s\"}\n", host)
}

// discards gives up the rows of a release and gets them back from the backup
// that was made first.
func (r *rig) discards(t *testing.T, before []string) (later []string) {
	t.Helper()
	r.must(t, exitDone, "v2", "release", "v2")
	w := r.write(t, "later")
	time.Sleep(2 * time.Second)
	w.end()
	later, _, _ = w.seen()
	r.carriedInVain(t)
	out := r.must(t, exitDone, "v1", "rollback", "--discard-data")
	r.holds(t, before)
	id := backupIn(out)
	if id == "" {
		t.Fatal("it names no backup")
	}
	r.must(t, exitDone, "v1", "restore", "--live", "--yes", id)
	r.holds(t, slices.Concat(before, later))
	r.must(t, exitDone, "v1", "unpin")
	return later
}

// carriedInVain carries all back to a standby whose app does not start then, nor
// when that is undone: it is left with another droplet's rows in their place.
func (r *rig) carriedInVain(t *testing.T) {
	t.Helper()
	const folder = "/run/systemd/system/cattle-app.service.d"
	standby := r.member(t, "standby").ID
	r.mustIn(t, standby, "mkdir -p "+folder+" && printf '[Service]\nExecStartPre=/bin/false\n' >"+folder+"/no.conf && systemctl daemon-reload")
	r.must(t, exitNotReleased, "v2", "rollback", "--carry-data")
	r.mustIn(t, standby, "rm -r "+folder+" && systemctl daemon-reload")
}

var backupRE = regexp.MustCompile(`backup ([0-9a-f]{8,64})`)

// backupIn is the id of the backup that a command says it made.
func backupIn(printed string) string {
	found := backupRE.FindStringSubmatch(printed)
	if found == nil {
		return ""
	}
	return found[1]
}

// loses destroys a droplet behind cattle's back, as a mistaken hand does, and its standbys.
func (r *rig) loses(t *testing.T) {
	t.Helper()
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Droplets {
		r.delete(t, fmt.Sprintf("/v2/droplets/%d", d.ID))
	}
	eventually(t, "the loss", time.Minute, func() bool {
		st, err := r.status(t.Context())
		return err == nil && len(st.Droplets) == 0
	})
}
