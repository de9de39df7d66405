package sandbox_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"cattle/droplets/sandbox"
)

// shellOf boots a release and logs in when it serves.
func shellOf(t *testing.T, r *rig) (*shell, string) {
	t.Helper()
	r.addKey()
	data, host := release{version: "v1", attempt: "0123456789abcdef", domains: []string{"blog.example.com"}}.userData(t)
	d := r.create(map[string]any{"user_data": data})
	time.Sleep(time.Minute)
	addr := r.address(d)
	sh := r.ssh(addr, host)
	t.Cleanup(sh.close)
	return sh, addr
}

func (r *rig) visit(addr, path string) {
	r.t.Helper()
	if status, _, err := r.get("http://"+addr+path, "blog.example.com"); status != 200 {
		r.t.Fatal("the site answers", status, err)
	}
}

// TestShell types what the stub machines' shell knows, and what it does not.
func TestShell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		sh, addr := shellOf(t, r)
		for range 3 {
			r.visit(addr, "/page?q=%22")
		}
		for _, c := range []struct {
			line, out, err string
			exit           int
		}{
			{"echo 'a  b' \"c\\\"d\" e\\ f", "a  b c\"d e f\n", "", 0},
			{"nonsense x", "", "bash: line 1: nonsense: command not found\n", 127},
			{"/opt/nonsense", "", "bash: line 1: /opt/nonsense: No such file or directory\n", 127},
			{"echo a | cat", "", "whose shell has no `|'", 2},
			{"echo 'a", "", "matching quote", 2},
			{"sh -c 'exit 3'", "", "", 3},
			{"false", "", "", 1},
			{"test -d /etc/cattle", "", "", 0},
			{"test -d /etc/cattle/release.json", "", "", 1},
			{"ls /etc/cattle", "release.json\nsecrets.sops\n", "", 0},
			{"cat /nowhere", "", "No such file", 1},
			{"tail --lines=1 /var/log/nginx/access.log", "GET /page?q=%22 HTTP/1.1\" 200", "", 0},
			{"tac /nowhere", "", "failed to open '/nowhere'", 1},
			{"tail --wrong /x", "", "unrecognized option", 1},
			{"journalctl --quiet --lines=1 CONTAINER_NAME=blog-web-1", "GET /page", "", 0},
			{"journalctl --quiet CONTAINER_NAME=nobody", "", "", 0},
			{"journalctl --since=@1 --after-cursor='t=1;i=1'", "", "only one of", 1},
			{"docker container ls --all --filter label=com.docker.compose.project=blog --format '{{.Names}} {{.State}}'", "blog-web-1 running\nblog-worker-1 running\n", "", 0},
			{"docker container ls --filter label=com.docker.compose.project=other --format '{{.Names}}'", "", "", 0},
			{"docker inspect --format '{{range .NetworkSettings.Networks}}{{println .IPAddress}}{{end}}' blog-web-1", "172.20.0.2\n", "", 0},
			{"docker exec --interactive blog-web-1 cat", "typed", "", 0},
			{"docker exec blog-web-1 cat /etc/hostname", "\n", "", 0},
			{"docker exec --tty blog-web-1 id", "", "not a TTY", 1},
			{"docker exec blog-web-1 journalctl", "", "executable file not found", 127},
			{"docker exec nobody id", "", "No such container", 1},
			{"docker cp blog-web-1:/nowhere -", "", "Could not find the file", 1},
		} {
			var in []byte // whoever does not read it may be gone before it is written
			if strings.HasSuffix(c.line, " cat") {
				in = []byte("typed")
			}
			out, errs, exit := sh.exec(c.line, in)
			if exit != c.exit || !strings.Contains(out, c.out) || c.out == "" && out != "" || !strings.Contains(errs, c.err) {
				t.Errorf("%s: exit %d\n%s%s", c.line, exit, out, errs)
			}
		}
	})
}

// TestShellJournal reads the journal as a program does: by cursor, nothing twice.
func TestShellJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		sh, addr := shellOf(t, r)
		read := func(more string) (messages []string, last string) {
			out, errs, exit := sh.exec("journalctl --output=json --all --quiet "+more, nil)
			if exit != 0 {
				t.Fatalf("%s: %d %s", more, exit, errs)
			}
			for line := range strings.Lines(out) {
				var e map[string]string
				if err := json.Unmarshal([]byte(line), &e); err != nil {
					t.Fatal(err, line)
				}
				messages, last = append(messages, e["MESSAGE"]), e["__CURSOR"]
			}
			return messages, last
		}
		all, _ := read("")
		ours, cursor := read("CONTAINER_NAME=blog-web-1")
		if len(ours) != 1 || len(all) <= len(ours) {
			t.Fatalf("of %q the container's are %q", all, ours)
		}
		both, _ := read("CONTAINER_NAME=blog-web-1 CONTAINER_NAME=blog-worker-1 + SYSLOG_FACILITY=0 SYSLOG_FACILITY=3")
		if !slices.Equal(both, all) {
			t.Errorf("the parts are %q, the whole %q", both, all)
		}
		if none, _ := read("CONTAINER_NAME=blog-web-1 SYSLOG_FACILITY=3"); len(none) > 0 {
			t.Errorf("of two fields both have to be met: %q", none)
		}
		r.visit(addr, "/one")
		r.visit(addr, "/two") // at the very same time
		after, cursor := read("CONTAINER_NAME=blog-web-1 --after-cursor='" + cursor + "'")
		if want := []string{"GET /one 200", "GET /two 200"}; !slices.Equal(after, want) {
			t.Errorf("after the cursor: %q", after)
		}
		if again, _ := read("CONTAINER_NAME=blog-web-1 --after-cursor='" + cursor + "'"); len(again) > 0 {
			t.Errorf("after the last one: %q", again)
		}
	})
}

// TestShellFollow has tail and journalctl print what comes, and end with the
// connection.
func TestShellFollow(t *testing.T) {
	for _, command := range []string{"tail --lines=0 --follow=name --retry /var/log/nginx/access.log", "journalctl --follow --lines=0 CONTAINER_NAME=blog-web-1"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, sandbox.Options{})
			sh, addr := shellOf(t, r)
			session, err := sh.client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, _ := session.StdoutPipe()
			if err := session.Start(command); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			r.visit(addr, "/later")
			line := make([]byte, 200)
			n, err := out.Read(line)
			if err != nil || !strings.Contains(string(line[:n]), "GET /later") {
				t.Errorf("%s: %q %v", command, line[:n], err)
			}
			sh.close()
			synctest.Wait()
		})
	}
}

// TestShellCopies puts a file down and takes it back, on the machine and in a
// container, which see nothing of each other.
func TestShellCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		sh, _ := shellOf(t, r)
		var in bytes.Buffer
		w := tar.NewWriter(&in)
		w.WriteHeader(&tar.Header{Name: "note", Mode: 0o640, Size: 5, Typeflag: tar.TypeReg})
		w.Write([]byte("hello"))
		w.Close()
		for put, get := range map[string]string{
			"tar --extract --directory=/tmp": "tar --create --directory=/tmp -- note",
			"docker cp - blog-web-1:/data":   "docker cp blog-web-1:/data/note -",
		} {
			if _, errs, exit := sh.exec(put, in.Bytes()); exit != 0 {
				t.Fatal(put, errs)
			}
			out, errs, exit := sh.exec(get, nil)
			back := tar.NewReader(strings.NewReader(out))
			h, err := back.Next()
			if exit != 0 || err != nil || h.Name != "note" || h.Mode != 0o640 {
				t.Fatalf("%s: %d %s %v %+v", get, exit, errs, err, h)
			}
			if data, _ := io.ReadAll(back); string(data) != "hello" {
				t.Errorf("%s: %q", get, data)
			}
		}
		for _, c := range []string{"test -e /data/note", "docker exec blog-web-1 test -e /tmp/note"} {
			if _, _, exit := sh.exec(c, nil); exit != 1 {
				t.Errorf("%s: %d", c, exit)
			}
		}
		if _, errs, exit := sh.exec("tar --extract --directory=/nowhere", in.Bytes()); exit != 2 || !strings.Contains(errs, "Cannot open") {
			t.Error(exit, errs)
		}
	})
}

// TestShellTerminal is somebody who types.
func TestShellTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		sh, _ := shellOf(t, r)
		session, err := sh.client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		session.Stdout = &out
		session.Stdin = strings.NewReader("echo typed\rdocker exec -it blog-web-1 sh\rhostname\rexit\rexit 4\r")
		if err := session.Shell(); err != nil {
			t.Fatal(err)
		}
		var exit *ssh.ExitError
		if err := session.Wait(); !asExit(err, &exit) || exit.ExitStatus() != 4 {
			t.Errorf("%v\n%q", err, out.String())
		}
		for _, want := range []string{":~# echo typed\r\ntyped\r\n", "# hostname\r\n"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%q", want, out.String())
			}
		}
	})
}

func asExit(err error, to **ssh.ExitError) bool {
	e, ok := err.(*ssh.ExitError)
	*to = e
	return ok
}

// TestForward connects from the machine: to the app's container, to nginx, and
// to nobody.
func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{})
		sh, _ := shellOf(t, r)
		for address, want := range map[string]string{"172.20.0.2:8000": "blog v1", "127.0.0.1:80": "HTTP/1.1"} {
			conn, err := sh.client.Dial("tcp", address)
			if err != nil {
				t.Fatal(address, err)
			}
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: blog.example.com\r\nConnection: close\r\n\r\n")
			answer, _ := io.ReadAll(conn)
			if !strings.Contains(string(answer), want) {
				t.Errorf("%s: %q", address, answer)
			}
		}
		for _, address := range []string{"172.20.0.3:5432", "127.0.0.1:81", "198.18.0.1:80"} {
			if conn, err := sh.client.Dial("tcp", address); err == nil {
				conn.Close()
				t.Errorf("somebody answers at %s", address)
			}
		}
	})
}
