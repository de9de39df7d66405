package main

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"mime"
	"net/http"
	"net/mail"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	perPage  = 100            // posts
	formLife = 12 * time.Hour // from the page to the form that was on it
	maxBody  = 1 << 20        // bytes of a request
	patience = 100            // pages that are shown before BROKEN=load
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// A site is the web app. Safe for concurrent use.
type site struct {
	config
	store *store
	shown atomic.Int64 // pages
}

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /posts.json", s.posts)
	mux.HandleFunc("POST /posts", s.publish)
	mux.HandleFunc("POST /contact", s.contact)
	mux.HandleFunc("GET /up", s.up)
	return http.MaxBytesHandler(mux, maxBody)
}

func (s *site) index(w http.ResponseWriter, r *http.Request) {
	if s.broken == "load" && s.shown.Add(1) > patience {
		http.Error(w, "told to tire, by BROKEN", http.StatusInternalServerError)
		return
	}
	posts, err := s.store.since(r.Context(), time.Unix(0, 0), perPage)
	if err != nil {
		fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	err = page.Execute(w, map[string]any{"Release": s.release, "Posts": posts, "Token": s.token(time.Now()), "Mail": s.smtp != ""})
	if err != nil {
		slog.Warn("page", "error", err)
	}
}

func (s *site) posts(w http.ResponseWriter, r *http.Request) {
	posts, err := s.store.since(r.Context(), time.Unix(0, 0), perPage)
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"release": s.release, "posts": posts})
}

func (s *site) publish(w http.ResponseWriter, r *http.Request) {
	in, ok := s.fields(w, r)
	if !ok {
		return
	}
	title, body := strings.TrimSpace(in["title"]), strings.TrimSpace(in["body"])
	if title == "" || body == "" {
		http.Error(w, "a post has a title and a body", http.StatusUnprocessableEntity)
		return
	}
	p, err := s.store.add(r.Context(), title, body)
	if err != nil {
		fail(w, r, err)
		return
	}
	done(w, r, http.StatusCreated, p)
}

func (s *site) contact(w http.ResponseWriter, r *http.Request) {
	in, ok := s.fields(w, r)
	if !ok {
		return
	}
	from, err := mail.ParseAddress(in["from"])
	if err != nil || strings.TrimSpace(in["text"]) == "" {
		http.Error(w, "a message has a from, which is an address, and a text", http.StatusUnprocessableEntity)
		return
	}
	if s.smtp == "" {
		http.Error(w, "this blog sends no mail", http.StatusServiceUnavailable)
		return
	}
	if err := send(r.Context(), s.config, from, in["text"]); err != nil {
		fail(w, r, fmt.Errorf("mail by %s: %w", s.smtp, err))
		return
	}
	done(w, r, http.StatusAccepted, map[string]string{"sent": "to the owner"})
}

// up is 200 as long as the database can be written and read.
func (s *site) up(w http.ResponseWriter, r *http.Request) {
	if s.broken == "health" {
		http.Error(w, "told to be broken, by BROKEN", http.StatusInternalServerError)
		return
	}
	if err := s.store.pulse(r.Context()); err != nil {
		fail(w, r, err)
		return
	}
	fmt.Fprintln(w, "database ok")
}

// fields reads JSON, or a form of our own page. A page of another site can
// make a visitor's browser send a form, but not JSON.
func (s *site) fields(w http.ResponseWriter, r *http.Request) (map[string]string, bool) {
	in := map[string]string{}
	if isJSON(r) {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "not a JSON object of texts", http.StatusBadRequest)
			return nil, false
		}
		return in, true
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, "not a form", http.StatusBadRequest)
		return nil, false
	}
	if !s.fresh(r.PostFormValue("token"), time.Now()) {
		http.Error(w, "the form is not ours, or too old: load the page again", http.StatusForbidden)
		return nil, false
	}
	for name := range r.PostForm {
		in[name] = r.PostFormValue(name)
	}
	return in, true
}

func isJSON(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/json"
}

// token marks a form as one of ours. It is good on every release with the same
// key, so that a release interrupts nobody who is writing.
func (s *site) token(now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	sum := hmac.New(sha256.New, []byte(s.key))
	sum.Write([]byte("form " + at))
	return at + "." + hex.EncodeToString(sum.Sum(nil))
}

func (s *site) fresh(token string, now time.Time) bool {
	text, _, _ := strings.Cut(token, ".")
	unix, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false
	}
	at := time.Unix(unix, 0)
	return hmac.Equal([]byte(token), []byte(s.token(at))) && now.Sub(at) < formLife
}

// done sends a browser back to the page, and everybody else what came of it.
func done(w http.ResponseWriter, r *http.Request, status int, what any) {
	if isJSON(r) {
		answer(w, status, what)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(what); err != nil {
		slog.Warn("answer", "error", err)
	}
}

// fail tells the log why, and the visitor only that.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	slog.Error("failed", "path", r.URL.Path, "error", err)
	http.Error(w, "something is wrong here", http.StatusInternalServerError)
}
