package internet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

// fetch is one file on its way into the cache. Whoever wants it meanwhile
// reads along: apt gives up on a server that is silent for 30 s.
type fetch struct {
	name     string
	modified time.Time // set before status is

	mu     sync.Mutex
	cond   sync.Cond
	status int    // of the answer; 0 while there is none
	size   int64  // -1 if only the end will tell
	here   int64  // bytes that have arrived
	at     string // where they are in the folder
	ended  bool
	err    error
}

func newFetch(name string) *fetch {
	f := &fetch{name: name}
	f.cond.L = &f.mu
	return f
}

// run asks the upstream for a file and keeps it.
func (a *Archive) run(p place, f *fetch) error {
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	kept, err := a.folder.Stat(p.key())
	if err == nil && p.immutable() {
		f.begin(http.StatusNotModified, -1, time.Time{}, "") // it came meanwhile
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.address(p).String(), nil)
	if err != nil {
		return err
	}
	if kept != nil {
		req.Header.Set("If-Modified-Since", kept.ModTime().UTC().Format(http.TimeFormat))
	}
	quiet := time.AfterFunc(connectWithin+silentAtMost, func() { cancel(errors.New("the archive fell silent")) })
	defer quiet.Stop()
	resp, err := a.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = fault(resp)
	}
	switch {
	case err != nil && kept != nil:
		f.begin(http.StatusNotModified, -1, time.Time{}, "")
		return nil
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		f.begin(resp.StatusCode, -1, time.Time{}, "")
		return nil
	}
	return a.keep(p, f, resp, func() { quiet.Reset(silentAtMost) })
}

// fault is why an answer is none of an archive's: its server is broken, or
// something between here and there answers with a page of its own.
func fault(resp *http.Response) error {
	page := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusOK && page {
		return fmt.Errorf("%s answers %s with %s", resp.Request.URL.Host, resp.Status, resp.Header.Get("Content-Type"))
	}
	return nil
}

// keep writes an answer beside the cache, and moves it in when it is whole.
func (a *Archive) keep(p place, f *fetch, resp *http.Response, alive func()) error {
	at := path.Join(partialDir, rand.Text())
	file, err := a.folder.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		modified = time.Now().Truncate(time.Second)
	}
	f.begin(http.StatusOK, resp.ContentLength, modified, at)
	err = f.copy(file, resp.Body, alive)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = a.folder.Chtimes(at, modified, modified)
	}
	if err == nil {
		err = a.folder.MkdirAll(path.Dir(p.key()), 0o755)
	}
	if err == nil {
		err = f.move(a.folder, p.key())
	}
	if err != nil {
		a.folder.Remove(at)
	}
	return err
}

// begin tells those who wait what the answer is.
func (f *fetch) begin(status int, size int64, modified time.Time, at string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status, f.size, f.modified, f.at = status, size, modified, at
	f.cond.Broadcast()
}

func (f *fetch) copy(to io.Writer, from io.Reader, alive func()) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		alive()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
			f.mu.Lock()
			f.here += int64(n)
			f.cond.Broadcast()
			f.mu.Unlock()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// move puts the file into its place; who opens it finds it either here or there.
func (f *fetch) move(folder *os.Root, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := folder.Rename(f.at, to)
	if err == nil {
		f.at = to
	}
	return err
}

func (f *fetch) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.err = true, err
	if err == nil && f.size < 0 {
		f.size = f.here
	}
	f.cond.Broadcast()
}

// begun waits for the answer's status, and for its size.
func (f *fetch) begun(ctx context.Context) (status int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err = f.wait(ctx, func() bool { return f.ended || f.status != 0 && (f.status != http.StatusOK || f.size >= 0) })
	if err == nil && (f.status == 0 || f.size < 0) {
		err = f.err
	}
	return f.status, err
}

// wait returns when something has become true, or the error of a context that
// ended before. The fetch must be locked.
func (f *fetch) wait(ctx context.Context, reached func() bool) error {
	defer context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cond.Broadcast()
	})()
	for !reached() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f.cond.Wait()
	}
	return nil
}

// reader reads the file from its beginning, and waits for what is not here yet.
func (f *fetch) reader(ctx context.Context, folder *os.Root) (*follower, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := folder.Open(f.at)
	if err != nil { // it has been removed, because the fetch has failed
		return nil, cmp.Or(f.wait(ctx, func() bool { return f.ended }), f.err, err)
	}
	return &follower{ctx: ctx, fetch: f, file: file}, nil
}

// follower is an io.ReadSeeker on a fetch.
type follower struct {
	ctx    context.Context
	fetch  *fetch
	file   *os.File
	offset int64
}

func (r *follower) Read(p []byte) (int, error) {
	f := r.fetch
	f.mu.Lock()
	err := f.wait(r.ctx, func() bool { return f.ended || f.here > r.offset })
	here, fetched := f.here, f.err
	f.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case r.offset < here:
		p = p[:min(int64(len(p)), here-r.offset)]
		n, err := r.file.ReadAt(p, r.offset)
		r.offset += int64(n)
		return n, err
	case fetched != nil:
		return 0, fetched
	}
	return 0, io.EOF
}

func (r *follower) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.fetch.size // no longer changes: begun has waited for it
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.offset = offset
	return offset, nil
}

func (r *follower) Close() error { return r.file.Close() }
