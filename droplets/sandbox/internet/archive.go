package internet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"sync"
	"time"
)

// Archive is every package archive, out of a cache. A file that never changes
// (a package, an index by its hash) is fetched once and kept; what changes is
// asked for each time, and comes from the cache where the archive cannot be
// reached.
type Archive struct {
	folder   *os.Root
	client   *http.Client
	upstream func() map[string]*url.URL // of the general archives, by name

	ctx    context.Context // of all fetches: a client that leaves ends none
	cancel context.CancelFunc

	mu      sync.Mutex
	running map[string]*fetch // by place in the folder
}

const (
	// partialDir has what is not complete. What a killed process left there is
	// removed after partialAge.
	partialDir = ".partial"
	partialAge = 24 * time.Hour
	// An upstream that is silent for longer is given up.
	connectWithin = 10 * time.Second
	silentAtMost  = time.Minute
)

func newArchive(dir string) (*Archive, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if err := folder.MkdirAll(partialDir, 0o755); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	removeOld(folder)
	a := &Archive{folder: folder, client: upstreamClient(), upstream: sync.OnceValue(aptArchives), running: map[string]*fetch{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a, nil
}

func removeOld(folder *os.Root) {
	entries, _ := fs.ReadDir(folder.FS(), partialDir) // at worst they stay
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > partialAge {
			folder.Remove(path.Join(partialDir, e.Name()))
		}
	}
}

// upstreamClient is the process's ordinary one, with a proxy if the
// environment has one, that leaves compressed files as they are.
func upstreamClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: connectWithin}).DialContext
	t.DisableCompression = true
	t.ResponseHeaderTimeout = silentAtMost
	return &http.Client{Transport: t}
}

// ServeHTTP serves files of archives, by the Host header and the path.
func (a *Archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := placeOf(schemeOf(r), hostOf(r), r.URL.Path)
	switch {
	case !ok:
		http.Error(w, "no file of a package archive", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "files of a package archive are only read", http.StatusMethodNotAllowed)
	default:
		a.serveFile(w, r, p)
	}
}

// serveKept serves a file from the cache, if it is there.
func (a *Archive) serveKept(w http.ResponseWriter, r *http.Request, p place) bool {
	f, err := a.folder.Open(p.key())
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	http.ServeContent(w, r, p.path, info.ModTime(), f)
	return true
}

// serveFile serves what fetch comes up with, which may be what is kept.
func (a *Archive) serveFile(w http.ResponseWriter, r *http.Request, p place) {
	f := a.fetch(p)
	switch status, err := f.begun(r.Context()); {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	case status == http.StatusOK:
		a.serveRunning(w, r, f)
	case status != http.StatusNotModified:
		http.Error(w, fmt.Sprintf("the archive says %d to %s", status, a.address(p)), status)
	case !a.serveKept(w, r, p):
		http.Error(w, p.key()+" is no longer in the cache", http.StatusBadGateway)
	}
}

func (a *Archive) serveRunning(w http.ResponseWriter, r *http.Request, f *fetch) {
	reader, err := f.reader(r.Context(), a.folder)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer reader.Close()
	http.ServeContent(w, r, f.name, f.modified, reader)
}

// address is where a file comes from: the same archive as this machine's own
// packages, if it is a general one, else the host that was asked.
func (a *Archive) address(p place) *url.URL {
	if p.general() {
		if base := a.upstream()[p.archive]; base != nil {
			return base.JoinPath(p.path)
		}
	}
	return &url.URL{Scheme: p.scheme, Host: p.host, Path: "/" + path.Join(p.archive, p.path)}
}

// fetch joins the running fetch of a file, or begins one.
func (a *Archive) fetch(p place) *fetch {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.running[p.key()]
	if f == nil {
		f = newFetch(path.Base(p.path))
		a.running[p.key()] = f
		go func() {
			err := a.run(p, f)
			a.mu.Lock()
			delete(a.running, p.key())
			a.mu.Unlock()
			f.end(err)
		}()
	}
	return f
}

func (a *Archive) close() error {
	a.cancel()
	a.client.CloseIdleConnections()
	return a.folder.Close()
}
