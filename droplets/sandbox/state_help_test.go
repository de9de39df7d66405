package sandbox_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"

	"golang.org/x/crypto/ssh"
)

// aSite is droplets whose rows move: each has a shell, and the program.
type aSite struct {
	*rig
	ip    string // reserved
	boxes []*box
}

type box struct {
	*shell
	id   int
	addr string
	host ssh.PublicKey
	rig  *rig
}

const someSpec = `{"version":1,"app":"blog","entries":[{"name":"db","kind":"sqlite","volume":"blog_data","path":"blog.db"}],
	"migrate":{"service":"web","command":["true"]},"backup":{"repository":"s3:https://example.com/blog","overdue_s":172800}}`

// withState runs f on a site of two droplets of which the first is live and open.
func withState(t *testing.T, f func(s *aSite, old, new *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &aSite{rig: newRig(t, sandbox.Options{})}
		defer s.Close()
		s.addKey()
		old, new := s.box("v1"), s.box("v2")
		s.ip = dig(s.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": old.id}), "reserved_ip", "ip").(string)
		old.says("prepare --adopt", "", "entries")
		old.says("start 600", "", "phase")
		old.says("thaw", "", "phase")
		new.says("prepare --adopt", "", "entries")
		f(s, old, new)
	})
}

// box is one more droplet, which has the program.
func (s *aSite) box(version string) *box {
	s.t.Helper()
	rel := release{version: version, attempt: version, domains: []string{"blog.example.com"}, mangle: func(text string) string {
		return strings.Replace(text, "write_files:\n", "write_files:\n- {path: /etc/cattle/settings, content: \"APP=blog\\nSTATE=1\\n\"}\n", 1)
	}}
	data, host := rel.userData(s.t)
	d := s.create(map[string]any{"user_data": data, "name": version, "region": "fra1"})
	time.Sleep(time.Second)
	addr := s.address(d)
	b := &box{s.ssh(addr, host), d, addr, host, s.rig}
	s.t.Cleanup(b.close)
	s.boxes = append(s.boxes, b)
	b.equip(someSpec)
	return b
}

func (b *box) equip(spec string) {
	b.t.Helper()
	var kit bytes.Buffer
	w := tar.NewWriter(&kit)
	for name, text := range map[string]string{"opt/cattle/state": "program", "etc/cattle/state.json.new": spec} {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text))})
		w.Write([]byte(text))
	}
	w.Close()
	if _, stderr, exit := b.exec("tar --extract --directory=/ --no-same-owner", kit.Bytes()); exit != 0 {
		b.t.Fatal(stderr)
	}
}

// says runs a verb that ends well, and returns a field of its last line.
func (b *box) says(verb, stdin, field string) any {
	b.t.Helper()
	line, exit := b.last(verb, stdin)
	if exit != 0 || line[field] == nil {
		b.t.Fatalf("%s: exit %d: %v", verb, exit, line)
	}
	return line[field]
}

func (b *box) last(verb, stdin string) (line map[string]any, exit int) {
	b.t.Helper()
	out, stderr, exit := b.exec("/opt/cattle/state "+verb, []byte(stdin))
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		b.t.Fatalf("%s: exit %d: %q %s: %v", verb, exit, out, stderr, err)
	}
	return line, exit
}

// fails wants a code, and a side.
func (b *box) fails(verb, stdin, want string) {
	b.t.Helper()
	line, exit := b.last(verb, stdin)
	if got := fmt.Sprint(dig(line, "error", "code"), " ", dig(line, "error", "side")); exit != 1 || got != want {
		b.t.Errorf("%s: exit %d: %v, want %s", verb, exit, line, want)
	}
}

func (b *box) phase() string {
	b.t.Helper()
	for _, d := range b.rig.Snapshot().Droplets {
		if d.ID == b.id {
			return d.Phase
		}
	}
	return "gone"
}

// add posts a row to an address.
func (s *aSite) add(addr, row string) int {
	s.t.Helper()
	req, _ := http.NewRequest("POST", "http://"+addr+"/rows", strings.NewReader(row))
	req.Host = "blog.example.com"
	res, err := s.HTTPClient().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == 503 && res.Header.Get("Retry-After") == "" {
		s.t.Error("503 without Retry-After")
	}
	return res.StatusCode
}

func (s *aSite) rows(addr string) []string {
	s.t.Helper()
	status, body, err := s.get("http://"+addr+"/rows", "blog.example.com")
	if status != 200 || err != nil {
		s.t.Fatal(status, err)
	}
	return strings.Fields(body)
}

// lends has old let new in, and returns what new needs to know.
func (s *aSite) lends(old, new *box, private bool) string {
	s.t.Helper()
	public, order := s.order(old, private)
	peer := s.addresses(new, private)
	old.says("lend 3600 "+peer, public, "lent")
	return order
}

func (s *aSite) order(old *box, private bool) (public, order string) {
	signer, pem := newPrivate(s.t)
	o, _ := json.Marshal(map[string]any{"address": s.addresses(old, private), "port": 22, "key": pem,
		"host_key": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(old.host)))})
	return string(ssh.MarshalAuthorizedKey(signer.PublicKey())), string(o)
}

func (s *aSite) addresses(b *box, private bool) string {
	s.t.Helper()
	facts := b.says("prepare", "", "addresses")
	return dig(facts, map[bool]string{true: "private", false: "public"}[private]).(string)
}

func (s *aSite) assign(b *box) {
	s.t.Helper()
	s.want(201, "POST", "/v2/reserved_ips/"+s.ip+"/actions", map[string]any{"type": "assign", "droplet_id": b.id})
	time.Sleep(time.Second)
}

func newPrivate(t *testing.T) (ssh.Signer, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, string(pem.EncodeToMemory(block))
}

// both carries bytes each way until one end closes.
func both(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	go func() { io.Copy(a, b); a.Close() }()
	io.Copy(b, a)
}
