package internet

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

// downloads are files of this machine at addresses of the internet. The zero
// value has none.
type downloads struct {
	mu    sync.Mutex
	files map[string]string // scheme://host/path -> file
}

// Download puts a file of this machine at a URL, in place of what may be there
// already. The file is read when it is asked for.
func (i *Internet) Download(address, file string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if u.Host == "" || u.Path == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is no address of a file", address)
	}
	i.downloads.mu.Lock()
	defer i.downloads.mu.Unlock()
	if i.downloads.files == nil {
		i.downloads.files = map[string]string{}
	}
	i.downloads.files[u.Scheme+"://"+strings.ToLower(u.Hostname())+u.Path] = file
	return nil
}

func (d *downloads) find(scheme, host, path string) (file string, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file, found = d.files[scheme+"://"+host+path]
	return file, found
}

// serveFile is http.ServeFile without its opinions about names: it redirects
// index.html and lists folders.
func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	f, err := os.Open(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, name+" is no file", http.StatusNotFound)
		return
	}
	http.ServeContent(w, r, name, info.ModTime(), f)
}
