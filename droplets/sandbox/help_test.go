package sandbox_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/described"

	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { os.Exit(described.Main(m)) }

// rig is a cloud with the small things that every test needs.
type rig struct {
	*sandbox.Cloud
	t      *testing.T
	token  string
	signer ssh.Signer // the operator's key
	keyID  int
}

const identity = "AGE-SECRET-KEY-1SANDBOX\n"

func newRig(t *testing.T, opt sandbox.Options) *rig {
	t.Helper()
	if opt.Open == nil {
		opt.Open = open
	}
	if opt.Observe == nil {
		opt.Observe = described.Observer()
	}
	c, err := sandbox.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &rig{Cloud: c, t: t, token: "token", signer: newSigner(t)}
	return r
}

// open stands in for sops: the sealed file names the identity that opens it.
func open(sealed []byte, format, id string) (map[string]string, error) {
	if format != "dotenv" || string(sealed) != "for "+id {
		return nil, errors.New("no identity matched")
	}
	return map[string]string{"DATABASE_URL": "x"}, nil
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call makes one call of the API and decodes its JSON.
func (r *rig) call(method, path string, body any) (int, map[string]any) {
	r.t.Helper()
	status, v, err := r.try(method, path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return status, v
}

func (r *rig) try(method, path string, body any) (int, map[string]any, error) {
	var in io.Reader
	if body != nil {
		b, _ := json.Marshal(body)
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://api.test"+path, in)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	res, err := r.Client().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	var v map[string]any
	b, err := io.ReadAll(res.Body)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &v)
	}
	return res.StatusCode, v, err
}

// want makes a call that must have a status.
func (r *rig) want(status int, method, path string, body any) map[string]any {
	r.t.Helper()
	got, v := r.call(method, path, body)
	if got != status {
		r.t.Fatalf("%s %s: status %d, want %d: %v", method, path, got, status, v)
	}
	return v
}

// dig walks into decoded JSON: names of objects, numbers of lists.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

func id(v any, path ...any) int { n, _ := dig(v, path...).(float64); return int(n) }

// create makes a droplet and returns its id.
func (r *rig) create(extra map[string]any) int {
	r.t.Helper()
	return id(r.want(202, "POST", "/v2/droplets", r.spec(extra)), "droplet", "id")
}

func (r *rig) spec(extra map[string]any) map[string]any {
	m := map[string]any{"name": "blog.example.com", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-13-x64"}
	if r.keyID != 0 {
		m["ssh_keys"] = []int{r.keyID}
	}
	for k, v := range extra {
		m[k] = v
		if v == nil {
			delete(m, k)
		}
	}
	return m
}

func (r *rig) addKey() {
	r.t.Helper()
	v := r.want(201, "POST", "/v2/account/keys", map[string]any{"name": "me", "public_key": string(ssh.MarshalAuthorizedKey(r.signer.PublicKey()))})
	r.keyID = id(v, "ssh_key", "id")
}

// addKeyNamed adds a key of nobody's.
func (r *rig) addKeyNamed(name string) {
	r.t.Helper()
	key := string(ssh.MarshalAuthorizedKey(newSigner(r.t).PublicKey()))
	r.want(201, "POST", "/v2/account/keys", map[string]any{"name": name, "public_key": key})
}

// address is the droplet's own, which comes first in its networks.
func (r *rig) address(droplet int) string {
	r.t.Helper()
	s, _ := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", droplet), nil), "droplet", "networks", "v4", 0, "ip_address").(string)
	return s
}

// release is the user-data of a release, and the host key that is in it.
type release struct {
	version string
	attempt string
	secrets bool
	domains []string
	mangle  func(string) string
}

func (rel release) userData(t *testing.T) (string, ssh.PublicKey) {
	t.Helper()
	m := map[string]any{
		"format": 1, "app": "blog", "release": rel.version, "attempt": rel.attempt, "domains": rel.domains,
		"identity_path": "/.well-known/cattle/attempt", "services": []string{"web", "worker"},
		"images": map[string]string{"ghcr.io/me/blog:v1": "sha256:0"},
		"tls":    map[string]string{"cert_name": "cattle"}, "packages": []string{},
	}
	if rel.secrets {
		m["secrets"] = map[string]string{"file": "/etc/cattle/secrets.sops", "format": "dotenv", "deliver": "ssh"}
	}
	manifest, _ := json.MarshalIndent(m, "", " ")
	_, key, _ := ed25519.GenerateKey(nil)
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, _ := ssh.NewSignerFromKey(key)
	var b strings.Builder
	b.WriteString("#cloud-config\nssh_deletekeys: true\nssh_keys:\n  ed25519_private: |\n")
	for line := range strings.Lines(string(pem.EncodeToMemory(block))) {
		b.WriteString("    " + line)
	}
	fmt.Fprintf(&b, "write_files:\n- path: /etc/cattle/release.json\n  permissions: '0600'\n  encoding: gz+b64\n  content: %s\n", zip(manifest))
	fmt.Fprintf(&b, "- path: /etc/cattle/secrets.sops\n  encoding: b64\n  content: %s\n", base64.StdEncoding.EncodeToString([]byte("for "+strings.TrimSpace(identity))))
	b.WriteString("- path: /opt/cattle/boot\n  content: |\n    #!/bin/bash\nruncmd:\n- [/opt/cattle/boot]\n")
	out := b.String()
	if rel.mangle != nil {
		out = rel.mangle(out)
	}
	return out, signer.PublicKey()
}

func zip(b []byte) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

// shell is an SSH connection to a droplet.
type shell struct {
	t      *testing.T
	client *ssh.Client
}

func (r *rig) ssh(addr string, host ssh.PublicKey) *shell {
	r.t.Helper()
	s, err := r.trySSH(addr, "root", host)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) trySSH(addr, user string, host ssh.PublicKey) (*shell, error) {
	conn, err := r.Dial(context.Background(), "tcp", addr+":22")
	if err != nil {
		return nil, err
	}
	check := ssh.InsecureIgnoreHostKey()
	if host != nil {
		check = ssh.FixedHostKey(host)
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, addr, &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(r.signer)}, HostKeyCallback: check})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &shell{r.t, ssh.NewClient(c, chans, reqs)}, nil
}

// run runs a verb and returns what it printed and its exit status.
func (s *shell) run(verb string, stdin []byte) (string, string, int) {
	s.t.Helper()
	return s.exec("/opt/cattle/droplet "+verb, stdin)
}

func (s *shell) exec(command string, stdin []byte) (string, string, int) {
	s.t.Helper()
	session, err := s.client.NewSession()
	if err != nil {
		s.t.Fatal(err)
	}
	defer session.Close()
	var out, errs bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = bytes.NewReader(stdin), &out, &errs
	err = session.Run(command)
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return out.String(), errs.String(), 0
	case errors.As(err, &exit):
		return out.String(), errs.String(), exit.ExitStatus()
	}
	return out.String(), errs.String() + err.Error(), -1
}

func (s *shell) close() { s.client.Close() }

// slowCloud is a cloud with times that can be told apart.
func slowCloud() sandbox.Latency {
	return sandbox.Latency{
		Call: 100 * time.Millisecond, Active: 30 * time.Second, Boot: 10 * time.Second, Step: 4 * time.Second,
		Assign: 5 * time.Second, Delete: 3 * time.Second, Issue: 7 * time.Second, Power: 2 * time.Second,
	}
}
