package internet

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	debPath = "/debian/pool/main/n/nginx/nginx_1.26.3-3%2bdeb13u1_amd64.deb"
	release = "/debian/dists/trixie/InRelease"
)

// upstream is a package archive.
type upstream struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string]string
	modified time.Time
	asked    []string // in the order of the requests
	since    []string // their If-Modified-Since
	each     func(w http.ResponseWriter, r *http.Request) (answered bool)
}

func newUpstream(t *testing.T, w *testWorld) *upstream {
	u := &upstream{files: map[string]string{}, modified: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	base, err := url.Parse(u.URL + "/mirror/debian/")
	if err != nil {
		t.Fatal(err)
	}
	w.Archive.upstream = func() map[string]*url.URL { return map[string]*url.URL{"debian": base} }
	// Every other host is this one as well.
	transport := w.Archive.client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, u.Listener.Addr().String())
	}
	transport.DialTLSContext = transport.DialContext // plain: the scheme is what counts
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.asked = append(u.asked, r.Host+r.URL.Path)
	if since := r.Header.Get("If-Modified-Since"); since != "" {
		u.since = append(u.since, since)
	}
	content, found := u.files[r.URL.Path]
	modified, each := u.modified, u.each
	u.mu.Unlock()
	switch {
	case each != nil && each(w, r):
	case found:
		http.ServeContent(w, r, "", modified, strings.NewReader(content))
	default:
		http.NotFound(w, r)
	}
}

func (u *upstream) put(path, content string, modified time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.files[path], u.modified = content, modified
}

func (u *upstream) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.asked
	u.asked = nil
	return all
}

// get is a droplet's request.
func (w *testWorld) get(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		body = []byte("broken off: " + err.Error())
	}
	return resp, string(body)
}

func (w *testWorld) want(t *testing.T, url string, status int, body string, header ...string) *http.Response {
	t.Helper()
	resp, got := w.get(t, url, header...)
	if resp.StatusCode != status || body != "" && got != body {
		t.Errorf("%s: %s %q, want %d %q", url, resp.Status, got, status, body)
	}
	return resp
}

func TestPackagesAreKept(t *testing.T) {
	w := newWorld(t, Options{})
	u := newUpstream(t, w)
	content := strings.Repeat("a package ", 10_000)
	u.put("/mirror/debian/pool/main/n/nginx/nginx_1.26.3-3+deb13u1_amd64.deb", content, u.modified)
	for _, host := range []string{"http://deb.debian.example", "http://mirrors.cloud.example", "https://ftp.de.debian.example"} {
		resp := w.want(t, host+debPath, http.StatusOK, content)
		if resp.ContentLength != int64(len(content)) || resp.Header.Get("Last-Modified") != "Fri, 01 May 2026 12:00:00 GMT" {
			t.Errorf("%s: %d bytes of %s", host, resp.ContentLength, resp.Header.Get("Last-Modified"))
		}
	}
	w.want(t, "http://deb.debian.example"+debPath, http.StatusPartialContent, content[95_000:], "Range", "bytes=95000-")
	w.want(t, "http://deb.debian.example"+debPath, http.StatusNotModified, "", "If-Modified-Since", "Fri, 01 May 2026 12:00:00 GMT")
	if asked := u.requests(); len(asked) != 1 {
		t.Errorf("asked for %q", asked)
	}
	// It outlives the process.
	again, err := newArchive(w.opt.Cache)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	again.upstream = w.Archive.upstream
	rec := httptest.NewRecorder()
	again.ServeHTTP(rec, httptest.NewRequest("GET", "http://deb.debian.example"+debPath, nil))
	if rec.Code != http.StatusOK || rec.Body.String() != content || len(u.requests()) != 0 {
		t.Errorf("after a restart: %d", rec.Code)
	}
}

func TestIndexesAreAskedForAgain(t *testing.T) {
	w := newWorld(t, Options{})
	u := newUpstream(t, w)
	ask := func(body string) {
		t.Helper()
		w.want(t, "http://deb.debian.example"+release, http.StatusOK, body)
	}
	u.put("/mirror"+release, "first", u.modified)
	ask("first")
	ask("first")
	u.put("/mirror"+release, "second", u.modified.Add(time.Hour))
	ask("second")
	if asked := u.requests(); len(asked) != 3 {
		t.Errorf("asked %d times", len(asked))
	}
	if len(u.since) != 2 || u.since[0] != "Fri, 01 May 2026 12:00:00 GMT" {
		t.Errorf("asked for what is newer than %q", u.since)
	}
	byHash := "/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/0123"
	u.put("/mirror"+byHash, "index", u.modified)
	w.want(t, "http://deb.debian.example"+byHash, http.StatusOK, "index")
	w.want(t, "http://deb.debian.example"+byHash, http.StatusOK, "index")
	if asked := u.requests(); len(asked) != 1 {
		t.Errorf("asked %d times for an index by its hash", len(asked))
	}
	w.want(t, "http://deb.debian.example/debian/dists/trixie/nothing", http.StatusNotFound, "")
	// A broken archive is as good as none.
	u.mu.Lock()
	u.each = func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return true
	}
	u.mu.Unlock()
	ask("second")
	u.Close()
	u.requests()
	ask("second")
	w.want(t, "http://deb.debian.example"+byHash, http.StatusOK, "index")
	w.want(t, "http://deb.debian.example/debian/dists/trixie/Release", http.StatusBadGateway, "")
	w.want(t, "http://deb.debian.example"+debPath, http.StatusBadGateway, "")
}

func TestOtherArchives(t *testing.T) {
	w := newWorld(t, Options{})
	u := newUpstream(t, w)
	path := "/linux/debian/pool/docker-ce_1.deb"
	u.put(path, "docker", u.modified)
	w.want(t, "https://download.docker.example"+path, http.StatusOK, "docker")
	w.want(t, "http://packages.vendor.example"+path, http.StatusOK, "docker")
	// This has Debian's path without being Debian.
	u.put("/debian/dists/stable/InRelease", "yarn", u.modified)
	w.want(t, "http://dl.yarn.example/debian/dists/stable/InRelease", http.StatusOK, "yarn")
	u.put("/ubuntu/dists/noble/InRelease", "noble", u.modified)
	w.want(t, "http://archive.ubuntu.example/ubuntu/dists/noble/InRelease", http.StatusOK, "noble")
	want := []string{"download.docker.example" + path, "packages.vendor.example" + path, "dl.yarn.example/debian/dists/stable/InRelease", "archive.ubuntu.example/ubuntu/dists/noble/InRelease"}
	if asked := u.requests(); fmt.Sprint(asked) != fmt.Sprint(want) {
		t.Errorf("asked for %q", asked)
	}
}

// Whoever asks while a file arrives reads along, and nobody's leaving ends it.
func TestOneFetchForAll(t *testing.T) {
	w := newWorld(t, Options{})
	u := newUpstream(t, w)
	half, rest := strings.Repeat("first half ", 10_000), strings.Repeat("second half ", 10_000)
	goOn := make(chan struct{})
	u.each = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(half)+len(rest)))
		io.WriteString(w, half)
		w.(http.Flusher).Flush()
		select {
		case <-goOn:
			io.WriteString(w, rest)
		case <-r.Context().Done():
		}
		return true
	}
	ctx, leave := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://deb.debian.example"+debPath, nil)
	first, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, first.Body, 1000); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		resp, err := w.client.Get("http://deb.debian.example" + debPath)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, len(half))
		if _, err := io.ReadFull(resp.Body, begin); err != nil || string(begin) != half {
			t.Errorf("what has arrived is held back: %v", err)
		}
		all.Go(func() {
			defer resp.Body.Close()
			if end, err := io.ReadAll(resp.Body); err != nil || string(end) != rest {
				t.Errorf("%d bytes after the first half: %v", len(end), err)
			}
		})
	}
	leave()
	first.Body.Close()
	close(goOn)
	all.Wait()
	if asked := u.requests(); len(asked) != 1 {
		t.Errorf("asked for %q", asked)
	}
}

func TestCloseEndsFetches(t *testing.T) {
	w := newWorld(t, Options{})
	u := newUpstream(t, w)
	begun, ended := make(chan struct{}), make(chan struct{})
	u.each = func(w http.ResponseWriter, r *http.Request) bool {
		close(begun)
		<-r.Context().Done()
		close(ended)
		return true
	}
	go w.client.Get("http://deb.debian.example" + debPath)
	<-begun
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("a fetch goes on")
	}
}

func TestBrokenFilesAreNotKept(t *testing.T) {
	w := newWorld(t, Options{})
	u := newUpstream(t, w)
	u.each = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "short")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for range 20 { // the fetch may end before its reader begins
		resp, body := w.get(t, "http://deb.debian.example"+debPath)
		if resp.StatusCode == http.StatusOK && !strings.HasPrefix(body, "broken off") || !strings.Contains(body, "unexpected EOF") {
			t.Errorf("half a package is given out: %s %q", resp.Status, body)
		}
	}
	// What a hotel's network says.
	u.mu.Lock()
	u.each = func(w http.ResponseWriter, r *http.Request) bool {
		io.WriteString(w, "<!DOCTYPE html><html>Room number?")
		return true
	}
	u.mu.Unlock()
	w.want(t, "http://deb.debian.example"+debPath, http.StatusBadGateway, "")
	u.mu.Lock()
	u.each = func(w http.ResponseWriter, r *http.Request) bool {
		io.WriteString(w, "size unknown ")
		w.(http.Flusher).Flush()
		io.WriteString(w, "but whole")
		return true
	}
	u.mu.Unlock()
	w.want(t, "http://deb.debian.example"+debPath, http.StatusOK, "size unknown but whole")
	left, err := os.ReadDir(filepath.Join(w.opt.Cache, partialDir))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestPlaces(t *testing.T) {
	good := map[string]string{
		"deb.debian.example/debian/pool/main/a/a.deb":                      "general/debian/pool/main/a/a.deb",
		"mirrors.cloud.example/debian/pool/main/a/a.deb":                   "general/debian/pool/main/a/a.deb",
		"security.debian.example/debian-security/dists/x/InRelease":        "general/debian-security/dists/x/InRelease",
		"archive.ubuntu.example/ubuntu/dists/noble/InRelease":              "general/ubuntu/dists/noble/InRelease",
		"dl.yarn.example/debian/dists/stable/InRelease":                    "hosts/dl.yarn.example/debian/dists/stable/InRelease",
		"apt.vendor.example/dists/bookworm/InRelease":                      "hosts/apt.vendor.example/dists/bookworm/InRelease",
		"download.docker.example/linux/debian/dists/trixie/pool/x/y~1.deb": "hosts/download.docker.example/linux/debian/dists/trixie/pool/x/y~1.deb",
	}
	for in, want := range good {
		host, rest, _ := strings.Cut(in, "/")
		if p, ok := placeOf("http", host, "/"+rest); !ok || p.key() != want {
			t.Errorf("%s: %q %v, want %q", in, p.key(), ok, want)
		}
	}
	bad := []string{
		"deb.debian.example/debian/pool/../../../etc/passwd", "deb.debian.example/../pool/x", "deb.debian.example/debian/pool/", "deb.debian.example/debian/pool",
		"deb.debian.example/debian/pool//x", "deb.debian.example/debian/pool/.hidden", "deb.debian.example/debian/pool/a\\b", "deb.debian.example/debian/pool/a\x00b",
		"deb.debian.example/debian/", "deb.debian.example/", "deb.debian.example/debian/project/trace", "deb.debian.example/.partial/pool/x",
		"127.0.0.1/debian/pool/x", "[::ffff:10.0.0.1]/debian/pool/x", "10.1/debian/pool/x", "localhost/debian/pool/x", "db/debian/pool/x",
		"../debian/pool/x", "a..b/debian/pool/x", "/debian/pool/x", "metadata.google.internal/debian/pool/x",
	}
	for _, in := range bad {
		host, rest, _ := strings.Cut(in, "/")
		if p, ok := placeOf("http", host, "/"+rest); ok {
			t.Errorf("%q is taken as %q", in, p.key())
		}
	}
}

func TestParseArchives(t *testing.T) {
	all := parseArchives("https://deb.example/debian/\nhttps://second.example/debian\nmirror+file:/etc/apt/list\nhttp://sec.example/some/debian-security/\n\nfile:/srv/ubuntu\n")
	if len(all) != 2 || all["debian"].String() != "https://deb.example/debian/" || all["debian-security"].String() != "http://sec.example/some/debian-security/" {
		t.Errorf("%v", all)
	}
}

func TestWeb(t *testing.T) {
	w := newWorld(t, Options{})
	file := t.TempDir() + "/index.html"
	if err := os.WriteFile(file, []byte("sops"), 0o644); err != nil {
		t.Fatal(err)
	}
	const at = "https://github.com/getsops/sops/releases/download/v3.13.3/sops-v3.13.3.linux.amd64"
	if err := w.Download(at, file); err != nil {
		t.Fatal(err)
	}
	w.want(t, at, http.StatusOK, "sops")
	w.want(t, strings.ToUpper(at[:18])+at[18:], http.StatusOK, "sops")
	w.want(t, strings.Replace(at, "https", "http", 1), http.StatusNotFound, "")
	w.want(t, at+".sig", http.StatusNotFound, "")
	if err := w.Download("http://Files.Vendor.example/Tool", file); err != nil {
		t.Fatal(err)
	}
	w.want(t, "http://files.vendor.example/Tool", http.StatusOK, "sops")
	w.want(t, "https://gone.example/", http.StatusNotFound, "The rehearsal's internet has nothing at https://gone.example/\n")
	w.want(t, "http://ghcr.io/v2/", http.StatusNotFound, "")
	w.want(t, "https://ghcr.io/v2/", http.StatusOK, "")
	w.want(t, "https://acme-staging-v02.api.letsencrypt.org/directory", http.StatusOK, "")
	for _, bad := range []string{"github.com/x", "https://github.com", "ftp://github.com/x"} {
		if err := w.Download(bad, file); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	conn, err := tls.Dial("tcp", w.at("tcp", address(internetIP, 443)), &tls.Config{ServerName: "any.example", RootCAs: w.trusted, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if p := conn.ConnectionState().NegotiatedProtocol; p != "h2" {
		t.Errorf("protocol %q", p)
	}
}
