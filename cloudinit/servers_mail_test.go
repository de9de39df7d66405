//go:build servers

package cloudinit

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// A postfix is Debian's, with a queue and the droplet's script of its own.
type postfix struct {
	t      *testing.T
	dir    string
	script string
}

// startPostfix starts one that hands everything to a port of loopback.
func startPostfix(t *testing.T, relay string) *postfix {
	t.Helper()
	p := &postfix{t: t, dir: t.TempDir()}
	for dir := p.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755) // its daemons are not root
	}
	main := "compatibility_level = 3.6\nenable_long_queue_ids = yes\nmyhostname = blog.example.com\nmydestination =\nalias_maps =\n" +
		"inet_interfaces = loopback-only\nmaster_service_disable = inet\nminimal_backoff_time = 1h\nqueue_run_delay = 1h\nmaximal_backoff_time = 1h\n" +
		"maillog_file = /dev/stdout\nqueue_directory = " + p.dir + "/spool\ndata_directory = " + p.dir + "/data\nrelayhost = [127.0.0.1]:" + relay + "\n"
	master, err := os.ReadFile("/etc/postfix/master.cf")
	if err != nil {
		t.Fatal(err)
	}
	put(t, p.dir+"/main.cf", main)
	put(t, p.dir+"/master.cf", string(master))
	os.Mkdir(p.dir+"/spool", 0o755)
	if out, err := exec.Command("install", "--directory", "--owner=postfix", p.dir+"/data").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	p.run("postconf", "-F", "*/*/chroot=n")
	text, err := os.ReadFile(script(t, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	p.script = p.dir + "/mail"
	own := strings.NewReplacer("/var/lib/cattle/mail", p.dir+"/taken", "/run/lock/cattle-mail", p.dir+"/lock", "SENDING=40", "SENDING=2")
	put(t, p.script, own.Replace(string(text)))
	os.Chmod(p.script, 0o755)
	p.run("postfix", "start")
	t.Cleanup(func() { p.run("postfix", "stop") })
	return p
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *postfix) command(words ...string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	return cmd
}

func (p *postfix) run(words ...string) string {
	p.t.Helper()
	out, err := p.command(words...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%v: %v: %s", words, err, out)
	}
	return string(out)
}

func (p *postfix) send(text string, to ...string) {
	p.t.Helper()
	cmd := p.command(append([]string{"sendmail", "-f", "app@blog.example.com"}, to...)...)
	cmd.Stdin = strings.NewReader("Subject: " + text + "\n\n" + text + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatal(string(out))
	}
}

// in counts the mails in one of the queues.
func (p *postfix) in(queue string) int {
	return len(strings.Fields(p.run("find", p.dir+"/spool/"+queue, "-type", "f")))
}

func (p *postfix) waits(n int) {
	p.t.Helper()
	for end := time.Now().Add(20 * time.Second); p.in("deferred") != n || p.in("active")+p.in("incoming")+p.in("maildrop")+p.in("hold") != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal(p.run("find", p.dir+"/spool", "-type", "f"))
		}
	}
}

// give begins the verb, and returns the tar; what is written to the answer is told it.
func (p *postfix) give() (tar []byte, answer io.WriteCloser, wait func() (int, string)) {
	p.t.Helper()
	cmd := p.command(p.script, "give")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	answer, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if tar, err = io.ReadAll(out); err != nil {
		p.t.Fatal(err)
	}
	return tar, answer, func() (int, string) {
		answer.Close()
		cmd.Wait()
		return cmd.ProcessState.ExitCode(), errs.String()
	}
}

func (p *postfix) take(tar []byte) string {
	p.t.Helper()
	cmd := p.command(p.script, "take")
	cmd.Stdin = bytes.NewReader(tar)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("take: %v: %s", err, &errs)
	}
	return string(out)
}

// A sink is a relay that keeps what it is given.
type sink struct {
	mu   sync.Mutex
	had  []string // recipient, and subject
	port string
}

func startSink(t *testing.T) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{port: fmt.Sprint(l.Addr().(*net.TCPAddr).Port)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sunk{sink: s}, nil }))
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return s
}

func (s *sink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.had))
}

func (s *sink) wants(t *testing.T, want ...string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !slices.Equal(s.all(), want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the relay has %q, want %q", s.all(), want)
		}
	}
}

type sunk struct {
	*sink
	to []string
}

func (s *sunk) Reset()                               { s.to = nil }
func (s *sunk) Logout() error                        { return nil }
func (s *sunk) Mail(string, *smtp.MailOptions) error { return nil }
func (s *sunk) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *sunk) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	_, subject, _ := strings.Cut(string(text), "Subject: ")
	subject, _, _ = strings.Cut(subject, "\r\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, to := range s.to {
		s.had = append(s.had, to+" "+subject)
	}
	return err
}

// TestServersMail: what waits in the queue of a Postfix whose relay is away is
// sent by another one, once, whoever asks how often.
func TestServersMail(t *testing.T) {
	relay := startSink(t)
	old, next := startPostfix(t, "9"), startPostfix(t, relay.port)

	if tar, _, wait := old.give(); len(tar) > 0 {
		t.Error(len(tar), "bytes of nothing")
	} else if exit, errs := wait(); exit != 0 || errs != "" {
		t.Error("of nothing:", exit, errs)
	}
	old.send("one", "a@example.net")
	old.send("two", "a@example.net", "b@example.net")
	old.waits(2)

	// Nobody has it: it stays, and is sent from here.
	tar, _, wait := old.give()
	if old.in("hold") != 2 {
		t.Error(old.in("hold"), "are held while they are given")
	}
	if exit, errs := wait(); exit != 0 || errs != "" {
		t.Error("nobody took it:", exit, errs)
	}
	old.waits(2)

	// One is had by the other side, the second was not told.
	tar, answer, wait := old.give()
	ids := strings.Fields(next.take(tar))
	if len(ids) != 2 {
		t.Fatal(ids)
	}
	fmt.Fprintln(answer, ids[0])
	if exit, errs := wait(); exit != 0 || errs != "" {
		t.Error(exit, errs)
	}
	old.waits(1)
	want := []string{"a@example.net one", "a@example.net two", "b@example.net two"}
	relay.wants(t, want...)
	next.waits(0)

	// So that is given again, and not sent again.
	tar, answer, wait = old.give()
	if again := strings.Fields(next.take(tar)); !slices.Equal(again, ids[1:]) {
		t.Error("again:", again)
	}
	fmt.Fprintln(answer, ids[1])
	if exit, errs := wait(); exit != 0 || errs != "" {
		t.Error(exit, errs)
	}
	old.waits(0)
	next.waits(0)
	old.send("three", "c@example.net")
	old.waits(1)
	tar, answer, wait = old.give()
	fmt.Fprint(answer, next.take(tar))
	wait()
	relay.wants(t, append(want, "c@example.net three")...)
	old.waits(0)
}

// TestServersMailSending: what is being sent is not taken away, and is told.
func TestServersMailSending(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	old := startPostfix(t, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	old.send("one", "a@example.net")
	tar, _, wait := old.give()
	if exit, errs := wait(); exit != 75 || len(tar) > 0 || errs != "1 of its mails stay there\n" {
		t.Error(exit, errs, len(tar))
	}
}
