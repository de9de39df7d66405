//go:build servers

package cloudinit

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A kind of server, as Debian packages it.
type serverKind struct {
	name, service, entry string
	start                func(t testing.TB, folder, port string) *exec.Cmd
	client               []string
	sample               string // SQL: tables with something of everything
	big                  string // SQL: 200 MB
	insert               string // SQL of one row, to be done once however often
	newer                string // sed: what the version of a later server would read
	opened, commits      string // SQL of a transaction that stays open, and its end
	accounts             string // SQL: the accounts that were carried, one line
	wantAccounts         string
}

const mariadbSpec = `{"name":"shop","kind":"mysql","service":"db","user":"root","password":"PW","databases":["shop"]}`

var mariadb = serverKind{
	name: "mariadb", service: "db", entry: mariadbSpec, start: startMariaDB,
	client: []string{"mariadb", "--batch", "--raw", "--skip-column-names", "--unbuffered", "--user=root"},
	sample: `CREATE DATABASE shop CHARACTER SET latin1; USE shop;
CREATE TABLE rows_ (id BIGINT PRIMARY KEY, body VARCHAR(200));
CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) CHARACTER SET utf8mb4, price DECIMAL(10,2), f DOUBLE,
 at TIMESTAMP(3) DEFAULT NOW(3), picture LONGBLOB, flags BIT(5), kind ENUM('a','b'), place POINT, double_ INT AS (id * 2), nothing INT);
INSERT INTO things(name, price, f, picture, flags, kind, place) SELECT CONCAT('naïve ☃ ', seq), seq / 7, SQRT(seq), UNHEX(SHA1(seq)), seq % 32, 'b', POINT(seq, 1) FROM seq_1_to_2000;
DELETE FROM things WHERE id > 1990;
CREATE TABLE empty_ (id INT AUTO_INCREMENT PRIMARY KEY);
CREATE TABLE old_ (id INT, body TEXT) ENGINE=MyISAM; INSERT INTO old_ VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
CREATE SEQUENCE counter_ START WITH 17;
CREATE TABLE numbered (id INT DEFAULT NEXTVAL(counter_), x INT); INSERT INTO numbered(x) VALUES (1), (2);
CREATE TABLE parents (id INT PRIMARY KEY, name VARCHAR(20)); INSERT INTO parents VALUES (1, 'one');
CREATE TABLE children (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parents(id)); INSERT INTO children VALUES (1, 1);
CREATE USER 'o''hara'@'%' IDENTIFIED BY 'secret'; GRANT SELECT, INSERT ON shop.* TO 'o''hara'@'%';
CREATE ROLE readers; GRANT SELECT ON shop.things TO readers; GRANT readers TO 'o''hara'@'%';
CREATE DEFINER='o''hara'@'%' VIEW cheap AS SELECT id FROM things WHERE price < 3;
CREATE PROCEDURE nothing() SELECT 1;
CREATE TRIGGER looks BEFORE INSERT ON things FOR EACH ROW SET NEW.nothing = NULL;
CREATE EVENT ticks ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.empty_ VALUES ();`,
	big: `USE shop; CREATE TABLE pages (id INT AUTO_INCREMENT PRIMARY KEY, slug VARCHAR(64), body TEXT, KEY(slug));
INSERT INTO pages(slug, body) SELECT CONCAT('page-', seq), REPEAT(MD5(seq), 30) FROM seq_1_to_200000;`,
	insert: "INSERT IGNORE INTO shop.rows_ VALUES (%d, 'row'); SELECT %d;\n",
	newer:  `s/^10\.11\.[0-9]*-MariaDB.*/12.1.2-MariaDB/`,
	opened: "BEGIN; INSERT INTO shop.rows_ VALUES (-1, 'never'); SELECT 'open';\n", commits: "COMMIT;\n",
	accounts:     "SELECT GROUP_CONCAT(DISTINCT grantee) FROM information_schema.schema_privileges WHERE table_schema = 'shop'",
	wantAccounts: "'o'hara'@'%'",
}

const postgresSpec = `{"name":"crm","kind":"postgres","service":"db","user":"postgres","password":"PW","databases":["crm"]}`

var postgres = serverKind{
	name: "postgres", service: "db", entry: postgresSpec, start: startPostgres,
	client: []string{"psql", "--host=127.0.0.1", "--username=postgres", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--dbname=crm"},
	sample: `CREATE ROLE clerks NOLOGIN; CREATE ROLE "o'hara" LOGIN PASSWORD 'secret'; GRANT clerks TO "o'hara";
CREATE DATABASE crm OWNER "o'hara"; ALTER DATABASE crm SET search_path TO "$user", public, extra; REVOKE ALL ON DATABASE crm FROM PUBLIC;
GRANT CONNECT ON DATABASE crm TO clerks;
\connect crm
CREATE SCHEMA extra; CREATE TYPE extra.mood AS ENUM ('a', 'b');
CREATE TABLE rows_ (id BIGINT PRIMARY KEY, body TEXT);
CREATE TABLE things (id SERIAL PRIMARY KEY, name TEXT, price NUMERIC, f FLOAT8, at TIMESTAMPTZ DEFAULT now(), picture BYTEA,
 kind extra.mood, tags TEXT[], doc JSONB, nothing INT, "Odd ""name" INT, gone INT);
ALTER TABLE things DROP COLUMN gone;
INSERT INTO things(name, price, f, picture, kind, tags, doc) SELECT 'naïve ☃ ' || s, s / 7.0, sqrt(s), decode(md5(s::text), 'hex'), 'b', ARRAY['x', NULL], '{"a": 1}' FROM generate_series(1, 2000) s;
CREATE TABLE parts (id INT, at DATE) PARTITION BY RANGE (at); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
INSERT INTO parts VALUES (1, '2024-02-29'), (1, '2024-02-29'), (NULL, '2025-01-01');
CREATE TABLE nothing (); CREATE UNLOGGED TABLE quick (id INT); INSERT INTO quick VALUES (1);
CREATE VIEW cheap AS SELECT id FROM things WHERE price < 3; CREATE MATERIALIZED VIEW sums AS SELECT sum(price) FROM things;
CREATE FUNCTION looks() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER looks BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION looks();
ALTER TABLE things OWNER TO "o'hara"; GRANT SELECT ON things TO clerks; SELECT lo_from_bytea(4711, 'large');`,
	big: `CREATE TABLE pages (id SERIAL PRIMARY KEY, slug TEXT, body TEXT); ALTER TABLE pages ALTER body SET STORAGE EXTERNAL;
INSERT INTO pages(slug, body) SELECT 'page-' || s, repeat(md5(s::text), 30) FROM generate_series(1, 200000) s; CREATE INDEX ON pages(slug);`,
	insert: "INSERT INTO rows_ VALUES (%d, 'row') ON CONFLICT DO NOTHING RETURNING 'new'; SELECT %d;\n",
	newer:  `s/^15[0-9]\{4\}$/170002/`,
	opened: "BEGIN; INSERT INTO rows_ VALUES (-1, 'never'); SELECT 'open';\n", commits: "COMMIT;\n",
	accounts:     `SELECT string_agg(rolname || (SELECT count(*) FROM pg_auth_members m WHERE m.member = r.oid), ',' ORDER BY 1) FROM pg_roles r WHERE rolname IN ('clerks', 'o''hara')`,
	wantAccounts: "clerks0,o'hara1",
}

// A serverDroplet is a droplet with a server in its service db.
type serverDroplet struct {
	*stateDroplet
	kind    serverKind
	folder  string // of the server's files
	port    string
	process *exec.Cmd
}

// serverDroplets are two with a server each: the old one has data and is live.
func serverDroplets(t testing.TB, kind serverKind) (older, newer *serverDroplet) {
	t.Helper()
	// Not t.TempDir: the servers run as users of their own, who have to get in.
	roots, err := os.MkdirTemp("", "servers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(roots) })
	if err := os.Chmod(roots, 0o755); err != nil {
		t.Fatal(err)
	}
	older, newer = newServerDroplet(t, kind, roots, "old"), newServerDroplet(t, kind, roots, "new")
	older.makeLive()
	older.sql(kind.sample, "--dbname=postgres")
	older.write("/running", "")
	return older, newer
}

// compose runs what it is asked for beside the server, with the password alone of all our environment.
const serverCompose = `#!/bin/bash
root=%[1]s
echo "$*" >>$root/compose
[[ $1 == up ]] && touch $root/running
[[ $1 == logs ]] && exec cat $root/logs
[[ $1 == exec ]] || exit 0
shift 2
kept=()
while [[ $1 == -e ]]; do kept+=("$2=${!2}"); shift 2; done
[[ -e $root/running ]] || { echo "service \"$1\" is not running" >&2; exit 1; }
shift
run=(env -i PATH=%[1]s/bin:/usr/lib/postgresql/15/bin:/usr/bin:/bin PGHOST=%[2]s PGPORT=%[3]s "${kept[@]}" "$@")
[[ -e $root/refuse ]] && exec "${run[@]}" < <(exec sed --unbuffered "$(cat $root/refuse)")
[[ -e $root/rewrite ]] && exec "${run[@]}" > >(exec sed --unbuffered "$(cat $root/rewrite)")
exec "${run[@]}"
`

func newServerDroplet(t testing.TB, kind serverKind, roots, name string) *serverDroplet {
	t.Helper()
	d := &serverDroplet{stateDroplet: newStateDroplet(t, roots, name), kind: kind, folder: filepath.Join(roots, name+".server"), port: freePort(t)}
	d.write("/etc/cattle/state.json.new", `{"version":1,"app":"blog","entries":[`+kind.entry+`],"services":["db","web"],"servers":["db"]}`)
	d.write("/run/cattle/secrets.json", `{"PW":"p'w %1"}`)
	d.write("/opt/cattle/compose", fmt.Sprintf(serverCompose, d.root, d.folder, d.port))
	for _, program := range []string{"mariadb", "mariadb-dump"} {
		d.write("/bin/"+program, fmt.Sprintf("#!/bin/sh\nexec /usr/bin/%s --no-defaults --socket=%s/socket --port=%s \"$@\"\n", program, d.folder, d.port))
	}
	d.begin()
	t.Cleanup(d.end)
	return d
}

// begin starts the server; the first time it makes its files.
func (d *serverDroplet) begin() {
	d.t.Helper()
	d.process = d.kind.start(d.t, d.folder, d.port)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if connection, err := net.Dial("tcp", "127.0.0.1:"+d.port); err == nil {
			connection.Close()
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(d.folder + ".log")
			d.t.Fatalf("%s does not start: %s", d.kind.name, log)
		}
	}
}

// end kills the server, as a crash would.
func (d *serverDroplet) end() {
	syscall.Kill(-d.process.Process.Pid, syscall.SIGKILL)
	d.process.Wait()
}

func freePort(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

// as is a command that runs as a server's own user, where the test is root.
func as(t testing.TB, user string, command ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() == 0 {
		command = append([]string{"setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups"}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// serve starts a server whose files `first` makes.
func serve(t testing.TB, folder string, first, server *exec.Cmd) *exec.Cmd {
	t.Helper()
	if _, err := os.Stat(folder + "/data"); err != nil {
		if out, err := first.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", first.Args, err, out)
		}
	}
	log, err := os.OpenFile(folder+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	return server
}

func ownFolder(t testing.TB, folder, user string) {
	t.Helper()
	if err := exec.Command("install", "--directory", "--owner="+user, folder).Run(); os.Getuid() == 0 && err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
}

func startMariaDB(t testing.TB, folder, port string) *exec.Cmd {
	t.Helper()
	ownFolder(t, folder, "mysql")
	first := as(t, "mysql", "sh", "-c", `mariadb-install-db --no-defaults --datadir="$1/data" --auth-root-authentication-method=normal --skip-test-db &&
printf '%s\n' "FLUSH PRIVILEGES;" "ALTER USER root@localhost IDENTIFIED BY 'p''w %1';" | mariadbd --no-defaults --datadir="$1/data" --bootstrap`, "sh", folder)
	first.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/bin")
	return serve(t, folder, first, as(t, "mysql", "/usr/sbin/mariadbd", "--no-defaults", "--datadir="+folder+"/data", "--socket="+folder+"/socket",
		"--port="+port, "--bind-address=127.0.0.1", "--event-scheduler=ON", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"))
}

func startPostgres(t testing.TB, folder, port string) *exec.Cmd {
	t.Helper()
	ownFolder(t, folder, "postgres")
	const bin = "/usr/lib/postgresql/15/bin"
	first := as(t, "postgres", "sh", "-c", `printf '%s\n' "p'w %1" >"$1/password" &&
`+bin+`/initdb --pgdata="$1/data" --username=postgres --auth=scram-sha-256 --pwfile="$1/password" --encoding=UTF8 --locale=C.UTF-8`, "sh", folder)
	os.Remove(folder + "/data/postmaster.pid") // of the one that was killed
	return serve(t, folder, first, as(t, "postgres", bin+"/postgres", "-D", folder+"/data", "-k", folder, "-p", port, "-c", "listen_addresses=127.0.0.1"))
}

// inside is a client in the container.
func (d *serverDroplet) inside(more ...string) *exec.Cmd {
	cmd := exec.Command(d.root+"/opt/cattle/compose", slices.Concat([]string{"exec", "-T", "-e", "MYSQL_PWD", "-e", "PGPASSWORD", "db"}, d.kind.client, more)...)
	cmd.Env = append(os.Environ(), "MYSQL_PWD=p'w %1", "PGPASSWORD=p'w %1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// sql is what the server answers. The options are for psql.
func (d *serverDroplet) sql(text string, options ...string) string {
	d.t.Helper()
	running := d.there("/running")
	d.write("/running", "")
	if d.kind.name == "postgres" {
		options = append(options, "--set=ON_ERROR_STOP=1")
	} else {
		options = nil
	}
	cmd := d.inside(options...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v: %s", d.kind.name, err, out)
	}
	if !running {
		os.Remove(d.root + "/running")
	}
	return strings.TrimSpace(string(out))
}

// table is the name of one in the database.
func (d *serverDroplet) table(name string) string {
	if d.kind.name == "mariadb" {
		return "shop." + name
	}
	return name
}

// rows are the numbers of the writer's rows.
func (d *serverDroplet) rows() []string {
	d.t.Helper()
	return strings.Fields(d.sql("SELECT id FROM " + d.table("rows_") + " ORDER BY id"))
}

// A dbWriter writes a row after the other to the live droplet's server, past
// nginx and its flag: what holds it back is the server's hold alone.
type dbWriter struct {
	t            *testing.T
	sides        map[string]*serverDroplet
	roots        string
	stop, done   chan struct{}
	acknowledged []string
}

func newDBWriter(t *testing.T, sides ...*serverDroplet) *dbWriter {
	w := &dbWriter{t: t, sides: map[string]*serverDroplet{}, roots: sides[0].roots, stop: make(chan struct{}), done: make(chan struct{})}
	for _, side := range sides {
		w.sides[filepath.Base(side.root)] = side
	}
	go w.run()
	t.Cleanup(func() { w.end() })
	return w
}

func (w *dbWriter) live() string {
	name, _ := os.Readlink(w.roots + "/live")
	return name
}

func (w *dbWriter) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}

func (w *dbWriter) run() {
	defer close(w.done)
	for !w.stopped() {
		w.write(w.live())
		time.Sleep(20 * time.Millisecond)
	}
}

// write goes on at one droplet until it refuses or is no longer live.
func (w *dbWriter) write(name string) {
	cmd := w.sides[name].inside()
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if cmd.Start() != nil {
		return
	}
	defer func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			if scanner.Text() != "new" {
				lines <- scanner.Text()
			}
		}
	}()
	defer func() {
		go func() {
			for range lines {
			}
		}()
	}()
	for w.live() == name && !w.stopped() {
		row := len(w.acknowledged)
		if _, err := fmt.Fprintf(stdin, w.insertOf(name), row, row); err != nil {
			return
		}
		for waiting := true; waiting; {
			select {
			case line, open := <-lines:
				if !open || line != strconv.Itoa(row) {
					return
				}
				w.acknowledged = append(w.acknowledged, line)
				waiting = false
			case <-time.After(20 * time.Millisecond):
				if w.live() != name || w.stopped() {
					return
				}
			}
		}
	}
}

func (w *dbWriter) insertOf(name string) string {
	if w.sides[name].kind.name == "postgres" {
		return "\\set ON_ERROR_STOP 1\n" + w.sides[name].kind.insert
	}
	return w.sides[name].kind.insert
}

func (w *dbWriter) end() {
	if !w.stopped() {
		close(w.stop)
	}
	<-w.done
}

// check ends the writer; each acknowledged row has to be on the droplet once.
func (w *dbWriter) check(last *serverDroplet) {
	w.t.Helper()
	time.Sleep(200 * time.Millisecond)
	w.end()
	found := last.rows()
	if len(w.acknowledged) < 50 {
		w.t.Errorf("the writer got %d rows in", len(w.acknowledged))
	}
	// One more may be there: committed, and the writer was stopped before he knew.
	if len(found) > len(w.acknowledged)+1 || len(found) < len(w.acknowledged) || !slices.Equal(found[:len(w.acknowledged)], w.acknowledged) {
		w.t.Errorf("%d rows were acknowledged, %d are there", len(w.acknowledged), len(found))
	}
	w.t.Logf("%d rows were acknowledged, %d are there", len(w.acknowledged), len(found))
}
