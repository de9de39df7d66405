package droplets_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// TestStateAnswers: what engines say is read, made safe to show, and believed
// only where it can be.
func TestStateAnswers(t *testing.T) {
	fault := `{"error":{"code":"disk-full","entry":"db\u001b","side":"new","message":"no\nspace"}}` + "\n"
	source := droplets.Source{Address: "10.0.0.1", Port: 22}
	var told []droplets.PullProgress
	pull := func(pass droplets.PullPass) func(context.Context, *droplets.Machine) (any, error) {
		return func(ctx context.Context, m *droplets.Machine) (any, error) {
			told = nil
			p, err := m.Pull(ctx, pass, source, func(p droplets.PullProgress) { told = append(told, p) })
			return fmt.Sprint(p.Entries, p.MS, p.Estimate, told), err
		}
	}
	for name, tt := range map[string]struct {
		ask       func(context.Context, *droplets.Machine) (any, error)
		out       string
		exit      uint32
		want, err string
	}{
		"prepare": {ask: func(ctx context.Context, m *droplets.Machine) (any, error) { return m.PrepareState(ctx, true) },
			out:  `{"entries":[{"name":"db\u001b","kind":"sqlite","bytes":-1,"empty":true}],"free_bytes":7,"phase":"new","addresses":{"private":"10.1.2.3","public":"x;y"},"port":99999,"host_key":"nonsense"}`,
			want: "{[{db\uFFFD sqlite 0 0  true}] 7 new {10.1.2.3 } 22 }"},
		"nothing":    {ask: func(ctx context.Context, m *droplets.Machine) (any, error) { return m.PrepareState(ctx, false) }, err: "unexpected EOF"},
		"parted":     {ask: parted, out: `{"parted":true,"until_ms":1}`, want: "true"},
		"not parted": {ask: parted, out: `{"until_ms":1}`, err: "does not say that it let go"},
		"busy":       {ask: parted, out: `{"error":{"code":"volume-busy","entry":"media","side":"old","message":"in use"}}`, exit: 1, err: "media: in use"},
		"joined":     {ask: only((*droplets.Machine).JoinVolumes), out: `{"joined":true}`},
		"not joined": {ask: only((*droplets.Machine).JoinVolumes), out: `{"joined":false}`, err: "does not say that it has its volumes"},
		"frozen":     {ask: only((*droplets.Machine).Thaw), out: `{"phase":"frozen"}`, err: `says that it is "frozen", not open`},
		"thawed":     {ask: only((*droplets.Machine).Thaw), out: `{"phase":"open","was":"frozen"}`},
		"not lent":   {ask: only(func(m *droplets.Machine, ctx context.Context) error { return m.Lend(ctx, "key", time.Hour, "10.0.0.1") }), out: `{"lent":false}`, err: "does not say that it lent"},
		"fault":      {ask: only(func(m *droplets.Machine, ctx context.Context) error { return m.Freeze(ctx, time.Second) }), out: fault, exit: 1, err: "db\uFFFD: no space, on the new droplet"},
		"bulk":       {ask: pull(droplets.PullBulk), out: `{"entry":"db","bytes":1,"of":9}` + "\n" + `{"entry":"db","bytes":9,"ms":3,"rows":{"a\n":2}}` + "\n" + `{"done":true,"ms":4,"estimate_ms":-5}`, want: "[{db 9 3 0  false map[a :2]}] 4 0 [{db 1 9}]"},
		"delta":      {ask: pull(droplets.PullDelta), out: `{"entry":"db","equal":true}` + "\n" + `{"done":true}`, want: "[{db 0 0 0  true map[]}] 0 0 []"},
		"unequal":    {ask: pull(droplets.PullDelta), out: `{"entry":"db","equal":false}` + "\n" + `{"done":true}`, err: "not found to be equal"},
		"cut":        {ask: pull(droplets.PullDelta), out: `{"entry":"db","equal":true}`, err: "unexpected EOF"},
		"mid fault":  {ask: pull(droplets.PullBulk), out: `{"entry":"db","bytes":1,"of":9}` + "\n" + fault, exit: 1, err: "no space"},
		"no id":      {ask: func(ctx context.Context, m *droplets.Machine) (any, error) { return m.Backup(ctx, "asked") }, out: `{"id":"--rm"}`, err: "names no backup"},
		"option": {ask: func(ctx context.Context, m *droplets.Machine) (any, error) {
			return m.Restore(ctx, "--rm", droplets.RestoreLive, "")
		}, err: "names no backup"},
		"writes":      {ask: func(ctx context.Context, m *droplets.Machine) (any, error) { return m.Writes(ctx) }, out: `{"since_ms":1,"total":-3,"entries":[{"name":"db","count":4,"unit":"\u001b"}]}`, want: "{1 0 [{db 4 \uFFFD}]}"},
		"a list":      {ask: func(ctx context.Context, m *droplets.Machine) (any, error) { return m.Writes(ctx) }, out: `[]`, err: "is none"},
		"unknown":     {ask: only((*droplets.Machine).Migrate), out: `{"error":{"code":"\u001b[2J","message":"?"}}`, exit: 1, err: "?"},
		"exit status": {ask: only((*droplets.Machine).ReturnLent), exit: 127, err: "state return failed with exit status 127"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			m := h.connect(t)
			if !strings.Contains(tt.err, "names no backup") || tt.out != "" {
				h.answer <- answer{out: strings.NewReader(tt.out), exit: tt.exit}
			}
			got, err := tt.ask(t.Context(), m)
			if tt.err == "" && (err != nil || fmt.Sprint(got) != tt.want && got != nil) {
				t.Errorf("got %v, %v", got, err)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
			var f *droplets.StateError
			if errors.As(err, &f) && strings.ContainsRune(f.Code, '\x1b') {
				t.Errorf("code %q", f.Code)
			}
		})
	}
}

// parted tells whether the promise is of this computer's clock.
func parted(ctx context.Context, m *droplets.Machine) (any, error) {
	began := time.Now()
	until, err := m.PartVolumes(ctx, time.Minute)
	return !until.Before(began.Add(time.Minute)) && until.Before(time.Now().Add(time.Minute)), err
}

func only(ask func(*droplets.Machine, context.Context) error) func(context.Context, *droplets.Machine) (any, error) {
	return func(ctx context.Context, m *droplets.Machine) (any, error) { return nil, ask(m, ctx) }
}

// TestEndlessState: an engine that never stops talking is left.
func TestEndlessState(t *testing.T) {
	for name, e := range map[string]endless{"lines": {"", `{"entry":"a","bytes":1,"of":2}` + "\n", 0}, "line": {"", "x", 0}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			inMemory(t, func() {
				h := newHostile(t)
				m := h.connect(t)
				fresh := e
				h.answer <- answer{out: &fresh}
				if _, err := m.Pull(ctx, droplets.PullBulk, droplets.Source{}, func(droplets.PullProgress) {}); err == nil || ctx.Err() != nil {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestEquip: the kit reaches the droplet as a tar with nothing else in it.
func TestEquip(t *testing.T) {
	h := newHostile(t)
	m := h.connect(t)
	h.answer <- answer{out: strings.NewReader("")}
	if err := m.Equip(t.Context(), droplets.StateKit{Engine: []byte("engine"), Spec: []byte("{}")}); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(m.HostKey(), "ssh-ed25519 ") {
		t.Errorf("the host key %q", m.HostKey())
	}
}

// TestPack: the archive is whole, and each file has its mode.
func TestPack(t *testing.T) {
	packed, err := droplets.StateKit{Engine: []byte("engine"), Spec: []byte("{}")}.Pack()
	if err != nil || len(packed)%512 != 0 || !bytes.HasSuffix(packed, make([]byte, 1024)) {
		t.Fatalf("%d bytes, %v", len(packed), err)
	}
	var got []string
	r := tar.NewReader(bytes.NewReader(packed))
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r)
		got = append(got, fmt.Sprintf("%s %o %s", h.Name, h.Mode, body))
	}
	if want := "opt/cattle/state 700 engine, etc/cattle/state.json.new 600 {}"; strings.Join(got, ", ") != want {
		t.Errorf("got %s", got)
	}
}

// TestJoin: what comes on one side goes to the other, both ways, with its end.
func TestJoin(t *testing.T) {
	near, here := tcpPipe(t)
	far, there := tcpPipe(t)
	go droplets.Join(t.Context(), near, func(context.Context) (net.Conn, error) { return far, nil })
	go func() { io.Copy(there, there); there.Close() }()
	io.WriteString(here, "a row")
	here.(*net.TCPConn).CloseWrite()
	if said, err := io.ReadAll(here); err != nil || string(said) != "a row" {
		t.Errorf("got %q, %v", said, err)
	}
}

func tcpPipe(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}
