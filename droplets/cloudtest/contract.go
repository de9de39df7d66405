package cloudtest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Target is a machine whose sshd answers, early in its boot.
type Target struct {
	// Exec runs /opt/cattle/droplet VERB.
	Exec func(ctx context.Context, verb string, stdin []byte) (stdout, stderr []byte, exit int)
	// Dial connects to the machine; the address's host is Address.
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Address string
	// What the machine was told to be.
	App, Release, Attempt, Domain string
	// Key is the age identity that the boot waits for; empty for a machine
	// without secrets.
	Key string
	// Body is what the app answers at /, default "APP RELEASE\n".
	Body string
	// Watched tells that it was made with release.bake.
	Watched bool
	// Guard tells that the release has a dead-man switch.
	Guard bool
	// Mails tells that it sends mail.
	Mails bool
	// BootWithin bounds the boot, default 10 minutes.
	BootWithin time.Duration
}

// RunContract checks the verbs that an operator talks to a machine with, and
// what it serves without a certificate. It sees the machine through its boot.
func RunContract(t *testing.T, m Target) {
	if m.BootWithin == 0 {
		m.BootWithin = 10 * time.Minute
	}
	if m.Body == "" {
		m.Body = m.App + " " + m.Release + "\n"
	}
	t.Run("Boot", m.boot)
	t.Run("JournalAgain", m.journalAgain)
	t.Run("Status", m.status)
	t.Run("UnknownVerb", m.unknownVerb)
	t.Run("Identity", m.identity)
	t.Run("App", m.app)
	t.Run("UnknownHost", m.unknownHost)
	t.Run("Traffic", m.traffic)
	t.Run("Certificates", m.certificates)
	t.Run("History", m.history)
	t.Run("Guard", m.guard)
	t.Run("Mail", m.mail)
}

func (m Target) context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), m.BootWithin)
	t.Cleanup(cancel)
	return ctx
}

// want runs a verb that must succeed.
func (m Target) want(t *testing.T, verb string, stdin []byte) []byte {
	t.Helper()
	stdout, stderr, exit := m.Exec(m.context(t), verb, stdin)
	if exit != 0 {
		t.Fatalf("%s: exit %d: %s", verb, exit, stderr)
	}
	return stdout
}

// boot follows the journal while the key is delivered.
func (m Target) boot(t *testing.T) {
	journal := make(chan []byte, 1)
	ctx := m.context(t)
	go func() {
		stdout, _, _ := m.Exec(ctx, "journal", nil)
		journal <- stdout
	}()
	if m.Key != "" {
		if _, _, exit := m.Exec(ctx, "key", []byte("not a key")); exit == 0 {
			t.Error("nonsense was taken for a key")
		}
		m.want(t, "key", []byte(m.Key))
		m.want(t, "key", []byte(m.Key))
	}
	m.checkJournal(t, <-journal)
}

type line struct {
	At    int64   `json:"at"`
	Step  string  `json:"step"`
	State string  `json:"state"`
	Exit  *int    `json:"exit"`
	MS    *int64  `json:"ms"`
	Tail  *string `json:"tail"`
}

// checkJournal wants each step to run before it ends, and the boot to end last.
func (m Target) checkJournal(t *testing.T, out []byte) {
	t.Helper()
	var last line
	running := map[string]bool{}
	for text := range bytes.Lines(out) {
		last = line{}
		if err := json.Unmarshal(text, &last); err != nil {
			t.Fatalf("journal: %v: %s", err, text)
		}
		switch last.State {
		case "running":
			running[last.Step] = true
		case "ok", "failed":
			if last.Exit == nil || last.MS == nil || last.Tail == nil || last.Step != "boot" && !running[last.Step] {
				t.Errorf("journal: unexpected %s", text)
			} else if _, err := base64.StdEncoding.DecodeString(*last.Tail); err != nil {
				t.Errorf("journal: tail: %v", err)
			}
		case "skipped":
		default:
			t.Errorf("journal: unknown state in %s", text)
		}
	}
	if last.Step != "boot" || last.State != "ok" {
		t.Fatalf("the journal ends with %s %s:\n%s", last.Step, last.State, out)
	}
}

// journalAgain wants the whole journal from its beginning, at once.
func (m Target) journalAgain(t *testing.T) {
	m.checkJournal(t, m.want(t, "journal", nil))
}

func (m Target) status(t *testing.T) {
	out := m.want(t, "status", nil)
	var s struct {
		App, Release, Attempt, Boot string
		FailedStep                  string `json:"failed_step"`
		Services                    []struct{ Name, State, Health string }
		Certificate                 any
		Issued                      []any
		FailedUnits                 []string `json:"failed_units"`
		Images                      map[string]string
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("status: %v: %s", err, out)
	}
	if s.App != m.App || s.Release != m.Release || s.Attempt != m.Attempt || s.Boot != "ok" || s.FailedStep != "" || s.Certificate != nil || s.Issued == nil || len(s.Issued) > 0 {
		t.Errorf("status: %s", out)
	}
	if len(s.Services) == 0 || len(s.FailedUnits) != 0 {
		t.Errorf("status: %s", out)
	}
	for _, service := range s.Services {
		if service.State != "running" {
			t.Errorf("service %s is %s", service.Name, service.State)
		}
	}
}

func (m Target) unknownVerb(t *testing.T) {
	m.lacks(t, "no-such-verb")
}

// lacks wants the machine not to know verbs.
func (m Target) lacks(t *testing.T, verbs ...string) {
	t.Helper()
	for _, verb := range verbs {
		if _, _, exit := m.Exec(m.context(t), verb, nil); exit != 64 {
			t.Errorf("%s: exit %d, want 64", verb, exit)
		}
	}
}

func (m Target) get(t *testing.T, host, path string) (*http.Response, string, error) {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DialContext: m.Dial, DisableKeepAlives: true},
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequest("GET", "http://"+m.Address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	res, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// identity is told to everybody who asks on port 80, whatever the host.
func (m Target) identity(t *testing.T) {
	for _, host := range []string{m.Domain, m.Address, "unknown.example.net"} {
		res, body, err := m.get(t, host, "/.well-known/cattle/attempt")
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || body != m.Attempt+"\n" || !strings.Contains(res.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("host %s: %d %q %v", host, res.StatusCode, body, res.Header)
		}
	}
}

func (m Target) app(t *testing.T) {
	res, body, err := m.get(t, m.Domain, "/")
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || !strings.Contains(body, strings.TrimSpace(m.Body)) {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	if conn, err := m.Dial(m.context(t), "tcp", net.JoinHostPort(m.Address, "443")); err == nil {
		conn.Close()
		t.Error("443 is open without a certificate")
	}
}

// unknownHost wants 404, 421 or a closed connection.
func (m Target) unknownHost(t *testing.T) {
	if res, _, err := m.get(t, "unknown.example.net", "/"); err == nil && res.StatusCode != 404 && res.StatusCode != 421 {
		t.Error("an unknown host gets", res.StatusCode)
	}
}

type trafficAnswer struct {
	Window, Requests, Errors int
	Containers               []struct {
		Name, State   string
		Restarts, Age *int
	}
}

// traffic counts visitors, among whom the operator's own checks are not, nor
// those who ask for a host that is none of the site's. Machines that are not to
// be watched do not know the verb.
func (m Target) traffic(t *testing.T) {
	if !m.Watched {
		m.lacks(t, "traffic")
		return
	}
	before := m.readTraffic(t)
	const visits = 3
	for range visits {
		m.app(t)
		m.unknownHost(t)
	}
	m.check(t)
	var after trafficAnswer
	for range 20 { // nginx logs an answer after it was sent
		if after = m.readTraffic(t); after.Requests >= before.Requests+visits {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if after.Requests != before.Requests+visits || after.Errors != before.Errors || after.Window != 600 {
		t.Errorf("before %d visits %+v, afterwards %+v", visits, before, after)
	}
	if len(after.Containers) == 0 {
		t.Error("there are no containers")
	}
	for _, c := range after.Containers {
		if c.State != "running" || c.Restarts == nil || *c.Restarts != 0 || c.Age == nil || *c.Age < 0 || *c.Age > 3600 {
			t.Errorf("container %+v", c)
		}
	}
}

func (m Target) readTraffic(t *testing.T) (a trafficAnswer) {
	t.Helper()
	out := m.want(t, "traffic", nil)
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("traffic: %v: %s", err, out)
	}
	return a
}

// check asks as the operator does.
func (m Target) check(t *testing.T) {
	r, err := http.NewRequest("GET", "http://"+m.Address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = m.Domain
	r.Header.Set("User-Agent", "cattle")
	client := &http.Client{Transport: &http.Transport{DialContext: m.Dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

// certificates are none yet; an empty tar in either direction is fine.
func (m Target) certificates(t *testing.T) {
	tree := m.want(t, "certificates", nil)
	if h, err := tar.NewReader(bytes.NewReader(tree)).Next(); err != io.EOF {
		t.Errorf("a machine without a certificate prints %v %v", h, err)
	}
	m.want(t, "install-certificates", tree)
	if _, stderr, exit := m.Exec(m.context(t), "certify", nil); exit == 0 || len(stderr) == 0 {
		t.Errorf("certify without DNS: exit %d, %q", exit, stderr)
	}
}

// guard arms the dead-man switch and calls it off. A machine whose release has
// none has no such verbs.
func (m Target) guard(t *testing.T) {
	if !m.Guard {
		m.lacks(t, "guard", "disarm")
		return
	}
	const ours, other = "00000000000000aa", "00000000000000bb"
	disarm := func(attempt, want string) {
		t.Helper()
		if got := strings.TrimSpace(string(m.want(t, "disarm", []byte(attempt+"\n")))); got != want {
			t.Errorf("disarm says %q, want %q", got, want)
		}
	}
	if _, _, exit := m.Exec(m.context(t), "guard", []byte("{}")); exit == 0 {
		t.Error("nonsense was taken for an order")
	}
	disarm(ours, "idle")
	order := `{"token":"t","ip":"192.0.2.1","droplet":1,"attempt":"` + ours + `","seconds":3600}`
	for range 2 {
		if got := strings.TrimSpace(string(m.want(t, "guard", []byte(order)))); got != "armed" {
			t.Errorf("guard says %q, want armed", got)
		}
	}
	disarm(other, "idle")
	disarm(ours, "disarmed")
	disarm(ours, "disarmed")
	m.want(t, "guard", []byte(strings.Replace(order, ours, other, 1)))
	disarm(ours, "idle")
	disarm(other, "disarmed")
}
