package main

import (
	"bytes"
	"context"
	"database/sql"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"dance"}, {"serve", "now"}} {
		if err := run(t.Context(), args, func(string) string { return "" }, nil); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%v: %v", args, err)
		}
	}
	exits := func(name string) string { return map[string]string{"BROKEN": "exit"}[name] }
	if err := run(t.Context(), []string{"digest"}, exits, nil); err == nil || !strings.Contains(err.Error(), "told to exit") {
		t.Error(err)
	}
}

// TestOpenedByAllAtOnce is the first start of web app, worker and cron job on
// an empty volume.
func TestOpenedByAllAtOnce(t *testing.T) {
	for range 10 {
		file := filepath.Join(t.TempDir(), "blog.db")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				s, err := openStore(t.Context(), file)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.close()
				if _, err := s.add(t.Context(), "t", "b"); err != nil {
					t.Error(err)
				}
				if err := s.pulse(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s, err := openStore(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		if posts, err := s.since(t.Context(), time.Time{}, 9); len(posts) != 4 || err != nil {
			t.Errorf("%d posts, %v", len(posts), err)
		}
		s.close()
	}
}

// TestOpenWaits opens a database that another process is about to make.
func TestOpenWaits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "blog.db")
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { db.Exec("COMMIT") })
	s, err := openStore(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	s.close()
}

func TestPulseWritesOnceASecond(t *testing.T) {
	s, _ := newSite(t, config{})
	at := func() (n int64) {
		if err := s.store.pulse(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.store.db.QueryRow("SELECT at FROM pulse").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := at()
	for time.Now().UnixMilli() < first+20 {
		time.Sleep(time.Millisecond)
	}
	if again := at(); again != first {
		t.Error("written again after", again-first, "ms")
	}
	for _, other := range []int64{-5000, 5000} { // also when the clock was put back
		if _, err := s.store.db.Exec("UPDATE pulse SET at = at + ?", other); err != nil {
			t.Fatal(err)
		}
		if got := at(); got < first || got > first+4000 {
			t.Error("not written:", got-first)
		}
	}
}

// TestPulseOfAHeldDatabase: one that nobody may write to for a while is sound.
func TestPulseOfAHeldDatabase(t *testing.T) {
	s, _ := newSite(t, config{})
	hold, err := s.store.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Rollback()
	start := time.Now()
	if err := s.store.pulse(t.Context()); err != nil || time.Since(start) > time.Second {
		t.Error(err, time.Since(start))
	}
}

func TestWorkAndDigest(t *testing.T) {
	s, _ := newSite(t, config{})
	if _, err := s.store.add(t.Context(), "New", "one two  three\nfour"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.db.Exec(`INSERT INTO posts (title, body, created) VALUES ('Old', 'x', ?)`, time.Now().AddDate(0, 0, -8).Unix()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := work(ctx, s.config, nil); err != nil {
		t.Fatal("the worker does not end well:", err)
	}
	var out bytes.Buffer
	if err := digest(t.Context(), s.config, &out); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if !strings.HasPrefix(got, "Posts of the last seven days: 1. This is release v1.2.3.\n") || !strings.Contains(got, "New (4 words)") || strings.Contains(got, "Old") {
		t.Error(got)
	}
}

func TestHealth(t *testing.T) {
	s, _ := newSite(t, config{})
	web := httptest.NewServer(s.handler())
	defer web.Close()
	c := config{listen: strings.TrimPrefix(web.URL, "http://")}
	var out bytes.Buffer
	if err := health(t.Context(), c, &out); err != nil || out.String() != "database ok\n" {
		t.Error(err, out.String())
	}
	s.broken = "health"
	if err := health(t.Context(), c, &out); err == nil || !strings.Contains(err.Error(), "500") {
		t.Error("broken:", err)
	}
	web.Close()
	if err := health(t.Context(), c, &out); err == nil {
		t.Error("nobody answers, and it is well")
	}
}

// TestShutdownAnswersFirst ends the app while a request is being answered.
func TestShutdownAnswersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		client, server := net.Pipe()
		l := &oneConn{conns: make(chan net.Conn, 1)}
		l.conns <- server
		ended := make(chan error, 1)
		go func() {
			ended <- serveOn(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				stop()
				time.Sleep(5 * time.Second)
				w.Write([]byte("all of it"))
			}))
		}()
		transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return client, nil }, DisableKeepAlives: true}
		resp, err := (&http.Client{Transport: transport}).Get("http://blog/")
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		got.ReadFrom(resp.Body)
		resp.Body.Close()
		if err := <-ended; err != nil || got.String() != "all of it" {
			t.Errorf("%q, %v", got.String(), err)
		}
	})
}

// oneConn listens in memory.
type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *oneConn) Close() error   { close(l.conns); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
