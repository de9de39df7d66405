package droplets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cattle/droplets"
)

// A hostile droplet is an sshd that answers every command with what it was
// told to, and lets everybody in.
type hostile struct {
	listener net.Listener
	hostKey  droplets.HostKey
	login    *droplets.Login
	answer   chan answer // one a command
}

type answer struct {
	out    io.Reader
	err    string
	exit   uint32
	signal string // in place of exit
}

func newHostile(t testing.TB) *hostile {
	t.Helper()
	h := &hostile{answer: make(chan answer, 1)}
	var err error
	if h.hostKey, err = droplets.NewHostKey(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(h.hostKey.Private), 0o600); err != nil {
		t.Fatal(err)
	}
	if h.login, err = droplets.NewLogin(file, "", ""); err != nil {
		t.Fatal(err)
	}
	if h.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.listener.Close() })
	return h
}

// DialContext leads every address to the listener.
func (h *hostile) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", h.listener.Addr().String())
}

func (h *hostile) connect(t testing.TB) *droplets.Machine {
	t.Helper()
	go h.serve(t)
	m, err := droplets.Connect(t.Context(), h, h.login, "198.18.0.9", h.hostKey.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func (h *hostile) serve(t testing.TB) {
	conn, err := h.listener.Accept()
	if err != nil {
		return
	}
	cfg := &ssh.ServerConfig{NoClientAuth: true, BannerCallback: func(ssh.ConnMetadata) string { return "\x1b[2J\u202ecattle: error: forged\n" }}
	signer, err := ssh.ParsePrivateKey([]byte(h.hostKey.Private))
	if err != nil {
		t.Error(err)
		return
	}
	cfg.AddHostKey(signer)
	_, channels, requests, err := ssh.NewServerConn(conn, cfg)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for ch := range channels {
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		go h.session(channel, requests)
	}
}

func (h *hostile) session(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for r := range requests {
		r.Reply(r.Type == "exec", nil)
		if r.Type != "exec" {
			continue
		}
		go ssh.DiscardRequests(requests)
		a := <-h.answer
		go io.Copy(io.Discard, ch)
		io.WriteString(ch.Stderr(), a.err)
		if _, err := io.Copy(ch, a.out); err != nil {
			return
		}
		if a.signal != "" {
			ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal  string
				Core    bool
				Message string
				Lang    string
			}{a.signal, false, a.err, ""}))
			return
		}
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{a.exit}))
		return
	}
}

// noControl fails the test when text would move a cursor; line breaks are its own.
func noControl(t *testing.T, text string) {
	t.Helper()
	shows(t, strings.NewReplacer("\n", "", "\t", "").Replace(text))
}

// FuzzSession: whatever a droplet answers to a verb, nothing panics or hangs,
// and no text of it would move a cursor.
func FuzzSession(f *testing.F) {
	f.Add(`{"at":1,"step":"packages\u001b[2J","state":"ok"}`+"\n"+`{"step":"boot","state":"ok"}`+"\n", "no\x1b]0;t\a\ncattle: error: forged", uint32(1), "")
	f.Add(`{"step":"boot\ncattle: hint: x","state":"failed","tail":"G1sySg=="}`, "", uint32(0), "")
	f.Add(`{"app":"\u202e","boot":"\u009b","services":[{"name":"\n"}],"images":{"a":"sha256:\n"},"failed_units":["\u0007"],"certificate":{"names":["\u001b"]}}`, "\x9b2J\xff", uint32(4_000_000_000), "KILL")
	f.Add("\x00\xff", strings.Repeat("x", 9000), uint32(255), "\x1b[31m")
	h := newHostile(f)
	m := h.connect(f)
	f.Fuzz(func(t *testing.T, out, stderr string, exit uint32, signal string) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		tell := func() { h.answer <- answer{strings.NewReader(out), stderr, exit, signal} }
		failed := func(err error) {
			var verb *droplets.VerbError
			switch {
			case errors.As(err, &verb):
				noControl(t, verb.Error())
			case ctx.Err() != nil:
				t.Fatal("it hangs")
			}
		}
		tell()
		failed(m.Journal(ctx, func(e droplets.JournalEntry) {
			shows(t, e.Step+string(e.State))
			noControl(t, string(e.Tail))
		}))
		tell()
		s, err := m.Status(ctx)
		failed(err)
		shows(t, s.App+s.Release+s.Attempt+string(s.Boot)+s.FailedStep+fmt.Sprint(s.Services)+fmt.Sprint(s.FailedUnits))
		if s.Certificate != nil {
			shows(t, strings.Join(s.Certificate.Names, ""))
		}
		for _, digest := range s.Images {
			shows(t, digest)
		}
		tell()
		_, err = m.Certificates(ctx)
		failed(err)
		tell()
		history, err := m.History(ctx)
		failed(err)
		for _, e := range history.Entries {
			shows(t, fmt.Sprint(e.Verb, e.Release, e.Attempt, e.Reason, e.By, e.Steps, e.Standby))
		}
		tell()
		failed(m.Record(ctx, droplets.Entry{}, nil))
		tell()
		failed(m.DeliverKey(ctx, "key"))
		tell()
		if status, err := m.Session(ctx, "true", droplets.Streams{Out: io.Discard, Err: io.Discard}, nil); err == nil && (status > 255 || status == 0 && signal == "" && exit != 0) {
			t.Errorf("exit status %d of %d", status, exit)
		}
	})
}

// FuzzServer: whatever listens on port 22, a login ends, without a panic.
func FuzzServer(f *testing.F) {
	for _, seed := range []string{"", "SSH-2.0-x\r\n", "SSH-1.99-\x1b[2J\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", strings.Repeat("x", 70_000), strings.Repeat("banner\n", 2000) + "SSH-2.0-x\r\n",
		"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14" + strings.Repeat("\x00", 100), "SSH-2.0-x\r\n\xff\xff\xff\xff"} {
		f.Add([]byte(seed))
	}
	h := newHostile(f)
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		go func() { theirs.Write(said); theirs.Close() }()
		if m, err := droplets.Connect(t.Context(), fixed{ours}, h.login, "198.18.0.9", h.hostKey.Fingerprint); err == nil {
			m.Close()
			t.Error("logged in")
		}
	})
}

// fixed is a way that leads to one connection.
type fixed struct{ net.Conn }

func (f fixed) DialContext(context.Context, string, string) (net.Conn, error) { return f.Conn, nil }

// TestEndlessSession: a droplet that never stops talking is left, soon and in
// little memory.
func TestEndlessSession(t *testing.T) {
	for name, e := range map[string]endless{
		"steps": {"", `{"step":"a","state":"running"}` + "\n", 0},
		"line":  {"", "x", 0},
		"json":  {`{"services":[{}`, `,{}`, 0},
		"blank": {"", "\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			inMemory(t, func() {
				for _, verb := range []func(*droplets.Machine) error{
					func(m *droplets.Machine) error { return m.Journal(ctx, func(droplets.JournalEntry) {}) },
					func(m *droplets.Machine) error { _, err := m.Status(ctx); return err },
					func(m *droplets.Machine) error { _, err := m.Certificates(ctx); return err },
					func(m *droplets.Machine) error { _, err := m.History(ctx); return err },
				} {
					h := newHostile(t)
					m := h.connect(t)
					fresh := e
					h.answer <- answer{out: &fresh}
					if err := verb(m); err == nil || ctx.Err() != nil {
						t.Errorf("got %v", err)
					}
				}
			})
		})
	}
}

// TestStatusIsClean: what a droplet says of itself cannot write into the
// compose file of the next release.
func TestStatusIsClean(t *testing.T) {
	h := newHostile(t)
	good := "sha256:" + strings.Repeat("1", 64)
	raw, err := json.Marshal(map[string]any{"app": "a\nb\x1b", "boot": "ok\u202e", "images": map[string]string{"x": good, "y": good + "\n    privileged: true", "z": "latest"}})
	if err != nil {
		t.Fatal(err)
	}
	m := h.connect(t)
	h.answer <- answer{out: bytes.NewReader(raw)}
	s, err := m.Status(t.Context())
	if err != nil || len(s.Images) != 1 || s.Images["x"] != good || s.App != "a b\uFFFD" || s.Boot != "ok\uFFFD" {
		t.Errorf("got %+v, %v", s, err)
	}
}
