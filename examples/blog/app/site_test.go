package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const testKey = "a key for tests, of some length"

// newSite is a site with a database of its own, and what it logs.
func newSite(t *testing.T, c config) (*site, *bytes.Buffer) {
	t.Helper()
	c.key, c.release, c.file = testKey, "v1.2.3", filepath.Join(t.TempDir(), "blog.db")
	store, err := openStore(t.Context(), c.file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.close() })
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &site{config: c, store: store}, &log
}

func ask(s *site, method, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w
}

func TestPublish(t *testing.T) {
	s, _ := newSite(t, config{})
	if w := ask(s, "POST", "/posts", "application/json", `{"title": "One", "body": "<b>three</b> words here"}`); w.Code != http.StatusCreated {
		t.Fatal(w.Code, w.Body)
	}
	var got struct {
		Release string
		Posts   []post
	}
	if err := json.Unmarshal(ask(s, "GET", "/posts.json", "", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Release != "v1.2.3" || len(got.Posts) != 1 || got.Posts[0].Title != "One" || got.Posts[0].Words != nil || time.Since(got.Posts[0].Created) > time.Minute {
		t.Errorf("posts are %+v", got)
	}
	if n, err := s.store.countWords(t.Context()); n != 1 || err != nil {
		t.Errorf("the words of %d posts were counted, %v", n, err)
	}
	page := ask(s, "GET", "/", "", "").Body.String()
	for _, want := range []string{"release v1.2.3", "<h2>One</h2>", "&lt;b&gt;three", ", 3 words"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
}

func TestWhatIsNoPost(t *testing.T) {
	s, _ := newSite(t, config{})
	for body, want := range map[string]int{`{`: 400, `[]`: 400, `{"title": 1}`: 400, `{}`: 422, `{"title": "x", "body": "  "}`: 422,
		`{"title": "x", "body": "` + strings.Repeat("x", maxBody) + `"}`: 400} {
		if w := ask(s, "POST", "/posts", "application/json", body); w.Code != want {
			t.Errorf("%.40s: %d, not %d", body, w.Code, want)
		}
	}
	if posts, err := s.store.since(t.Context(), time.Time{}, 9); len(posts) != 0 || err != nil {
		t.Errorf("posted %v, %v", posts, err)
	}
}

// TestForms posts as a browser does, and as a page of another site would make
// one do.
func TestForms(t *testing.T) {
	s, _ := newSite(t, config{})
	token := regexp.MustCompile(`name="token" value="([^"]+)"`).FindStringSubmatch(ask(s, "GET", "/", "", "").Body.String())
	if token == nil {
		t.Fatal("the page has no token")
	}
	stranger := site{config: config{key: "another key of some length"}}
	old := s.token(time.Now().Add(-formLife - time.Second))
	for value, want := range map[string]int{token[1]: 303, "": 403, "x": 403, token[1] + "0": 403, stranger.token(time.Now()): 403, old: 403} {
		form := url.Values{"title": {"t"}, "body": {"b"}, "token": {value}}
		if w := ask(s, "POST", "/posts", "application/x-www-form-urlencoded", form.Encode()); w.Code != want {
			t.Errorf("token %q: %d, not %d", value, w.Code, want)
		}
	}
}

func TestUp(t *testing.T) {
	s, _ := newSite(t, config{})
	if w := ask(s, "GET", "/up", "", ""); w.Code != 200 || w.Body.String() != "database ok\n" {
		t.Error(w.Code, w.Body)
	}
	broken := &site{config: config{broken: "health"}, store: s.store}
	if w := ask(broken, "GET", "/up", "", ""); w.Code != 500 {
		t.Error("broken:", w.Code)
	}
	tires := &site{config: config{broken: "load"}, store: s.store}
	for i := range patience + 1 {
		if w := ask(tires, "GET", "/", "", ""); (w.Code == 500) != (i == patience) {
			t.Errorf("page %d: %d", i, w.Code)
		}
	}
	if w := ask(tires, "GET", "/up", "", ""); w.Code != 200 {
		t.Error("one that tires is healthy:", w.Code)
	}
	// A database that opens and that cannot be written.
	if _, err := s.store.db.Exec("DROP TABLE pulse"); err != nil {
		t.Fatal(err)
	}
	if w := ask(s, "GET", "/up", "", ""); w.Code != 500 {
		t.Error("without its table:", w.Code)
	}
}

// TestNobodyTellsTheKey looks for it in every answer and in the log.
func TestNobodyTellsTheKey(t *testing.T) {
	s, log := newSite(t, config{smtp: "127.0.0.1:1"})
	for _, path := range []string{"/", "/posts.json", "/up", "/nothing"} {
		log.WriteString(ask(s, "GET", path, "", "").Body.String())
	}
	log.WriteString(ask(s, "POST", "/contact", "application/json", `{"from": "a@b.example", "text": "x"}`).Body.String())
	s.store.close()
	log.WriteString(ask(s, "GET", "/up", "", "").Body.String())
	if strings.Contains(log.String(), testKey) {
		t.Error("the key is told:", log)
	}
	if !strings.Contains(log.String(), "mail by 127.0.0.1:1") || !strings.Contains(log.String(), "database is closed") {
		t.Error("the log does not say what failed:", log)
	}
}

func TestServeWantsAKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "blog.db")
	for _, key := range []string{"", "too short"} {
		env := map[string]string{"SESSION_KEY": key, "DATABASE": file, "LISTEN": "127.0.0.1:0"}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // for when it serves
		defer cancel()
		err := run(ctx, []string{"serve"}, func(name string) string { return env[name] }, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "SESSION_KEY") || key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("with %q: %v", key, err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it made a database all the same")
	}
}
