package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cattle/droplets/sandbox"
)

// A sink stands for Slack and ntfy: it keeps what is posted to it.
type sink struct {
	mu  sync.Mutex
	got []string
}

// sinks are those of the scripts, by their sandbox.
var sinks sync.Map

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch body, _ := io.ReadAll(r.Body); {
	case strings.HasPrefix(r.URL.Path, "/refuse"):
		http.Error(w, "no", http.StatusForbidden)
	case strings.HasPrefix(r.URL.Path, "/redirect"):
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	case strings.HasPrefix(r.URL.Path, "/hang"):
		time.Sleep(tellWithin + 5*time.Second)
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		var headers []string
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			headers = append(headers, name+": "+r.Header.Get(name))
		}
		s.got = append(s.got, fmt.Sprintf("%s %s\n%s\n%s\n", r.Method, r.URL.Path, strings.Join(headers, "\n"), body))
	}
}

// sinkOpens: from now on $SINK is an address of the web that takes anything.
func sinkOpens(ts *testscript.TestScript, neg bool, args []string) {
	s := &sink{}
	server := httptest.NewTLSServer(s)
	ts.Defer(server.Close)
	roots, err := os.ReadFile(ts.Getenv("SSL_CERT_FILE"))
	ts.Check(err)
	roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})...)
	ts.Check(os.WriteFile(ts.MkAbs("roots.pem"), roots, 0o600))
	ts.Setenv("SSL_CERT_FILE", ts.MkAbs("roots.pem"))
	ts.Setenv("SINK", server.URL)
	sinks.Store(boxOf(ts), s)
}

// heard: stdout is what the sink was given since the last time.
func heard(ts *testscript.TestScript, neg bool, args []string) {
	kept, _ := sinks.Load(boxOf(ts))
	s := kept.(*sink)
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprint(ts.Stdout(), strings.Join(s.got, "\n"))
	s.got = nil
}

// relayed N: the relay was given so many mails so far, each once.
func relayed(ts *testscript.TestScript, neg bool, args []string) {
	seen := map[string]int{}
	for _, c := range boxOf(ts).cloud.Changes() {
		if c.What == sandbox.Relayed {
			seen[c.Note]++
		}
	}
	for id, n := range seen {
		if n > 1 {
			ts.Fatalf("the relay was given %s %d times", id, n)
		}
	}
	if got := fmt.Sprint(len(seen)); neg || got != args[0] {
		ts.Fatalf("the relay was given %s mails, want %v", got, args)
	}
}

// mailed: stdout are the mails that droplets have taken so far, with who.
func mailed(ts *testscript.TestScript, neg bool, args []string) {
	for _, c := range boxOf(ts).cloud.Changes() {
		if c.What == sandbox.Mailed {
			fmt.Fprintf(ts.Stdout(), "droplet %d\n%s\n", c.Droplet, c.Note)
		}
	}
}
