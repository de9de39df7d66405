package internet

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// A safe is a restic with one folder to keep, and a repository in the world.
type safe struct {
	t   *testing.T
	dir string
	env []string
	opt []string
}

func newSafe(t *testing.T, env ...string) *safe {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "keep", "file"), strings.Repeat("a row\n", 1000))
	return &safe{t, dir, append(os.Environ(), append(env, "RESTIC_PASSWORD=wonderful", "RESTIC_CACHE_DIR="+dir+"/cache")...), nil}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *safe) run(args ...string) (string, error) {
	cmd := exec.CommandContext(s.t.Context(), "restic", append(s.opt, args...)...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *safe) must(args ...string) {
	s.t.Helper()
	if out, err := s.run(args...); err != nil {
		s.t.Fatalf("restic %s: %v\n%s", args, err, out)
	}
}

// roundTrip keeps the folder, and gets it back.
func (s *safe) roundTrip() {
	s.t.Helper()
	s.must("init")
	s.must("backup", s.dir+"/keep")
	s.must("backup", s.dir+"/keep")
	s.must("forget", "--keep-last", "1", "--prune")
	s.must("check")
	s.must("restore", "latest", "--target", s.dir+"/back")
	if text, err := os.ReadFile(s.dir + "/back" + s.dir + "/keep/file"); err != nil || len(text) != 6000 {
		s.t.Errorf("what came back: %d bytes, %v", len(text), err)
	}
}

// rooted is the file that has the certificate of the world's authority.
func (w *testWorld) rooted(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.authority.Raw})))
	return path
}

// throughProxy has restic find the world by its names: a proxy for HTTPS.
func (w *testWorld) throughProxy(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		to, err := w.dialName(r.Context(), "tcp", r.Host)
		if err != nil {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		rw.WriteHeader(http.StatusOK)
		from, rest, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		go func() { defer to.Close(); rest.WriteTo(to) }()
		buffer := make([]byte, 32<<10)
		for {
			n, err := to.Read(buffer)
			if _, failed := from.Write(buffer[:n]); err != nil || failed != nil {
				return
			}
		}
	})}
	go proxy.Serve(l)
	t.Cleanup(func() { proxy.Close() })
	return "http://" + l.Addr().String()
}

// TestObjects: restic keeps its repository at any S3 of the internet, for as
// long as its access key is known and there is room.
func TestObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.Objects.Login("key-of-blog")
	restic := func(key, bucket string) *safe {
		s := newSafe(t, "AWS_ACCESS_KEY_ID="+key, "AWS_SECRET_ACCESS_KEY=secret", "HTTPS_PROXY="+w.throughProxy(t),
			"RESTIC_REPOSITORY=s3:https://objects.example.net/"+bucket+"/blog")
		s.opt = []string{"--cacert", w.rooted(t)}
		return s
	}
	restic("key-of-blog", "kept").roundTrip()
	if out, err := restic("another-key", "kept").run("snapshots"); err == nil || !strings.Contains(out, "access key is not known") {
		t.Errorf("with another key: %v, %s", err, out)
	}
	w.Objects.Limit(100)
	full := restic("key-of-blog", "full")
	if out, err := full.run("init"); err == nil || !strings.Contains(out, "no room left") {
		t.Errorf("no room: %v, %s", err, out)
	}
	w.Objects.Limit(-1)
	w.want(t, "https://objects.example.net/kept/blog/config", http.StatusNotFound, "")
}

// TestFiles: restic keeps its repository on the SFTP server that the internet
// has at every name, for those who have the account's key.
func TestFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	_, private := newKey(t)
	if err := w.Files.LoginHolder("keeper", private+"\n"); err != nil {
		t.Fatal(err)
	}
	restic := func(key string) *safe {
		s := newSafe(t, "RESTIC_REPOSITORY=sftp:keeper@backup.example.net:/srv/blog")
		write(t, s.dir+"/key", key)
		host, port, _ := net.SplitHostPort(w.at("tcp", address(internetIP, filesPort)))
		write(t, s.dir+"/known", w.Files.KnownHost("["+host+"]:"+port)+"\n")
		s.opt = []string{"-o", fmt.Sprintf("sftp.command=ssh -F none -i %s/key -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s/known -p %s keeper@%s -s sftp", s.dir, s.dir, port, host)}
		return s
	}
	restic(private).roundTrip()
	_, other := newKey(t)
	if out, err := restic(other).run("snapshots"); err == nil {
		t.Errorf("with another key: %v, %s", err, out)
	}
}

func newKey(t *testing.T) (ssh.PublicKey, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey(), string(pem.EncodeToMemory(block))
}
