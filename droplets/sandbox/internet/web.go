package internet

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// web is every host of the internet, on port 80 and, with TLS, on port 443.
// Which one is asked is in the Host header.
func (i *Internet) web(w http.ResponseWriter, r *http.Request) {
	host := hostOf(r)
	if file, found := i.downloads.find(schemeOf(r), host, r.URL.Path); found {
		serveFile(w, r, file)
		return
	}
	switch {
	case r.TLS != nil && isSigned(r):
		i.Objects.ServeHTTP(w, r)
	case r.TLS != nil && slices.Contains(acmeHosts(), host):
		i.ACME.ServeHTTP(w, r)
	case r.TLS != nil && host == apiHost:
		i.api(w, r)
	case r.TLS != nil && (r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/")):
		i.Registry.ServeHTTP(w, r)
	case isArchive(r.URL.Path):
		i.Archive.ServeHTTP(w, r)
	default:
		http.Error(w, "The rehearsal's internet has nothing at "+schemeOf(r)+"://"+host+r.URL.Path, http.StatusNotFound)
	}
}

const apiHost = "api.digitalocean.com"

// api is what a client of the public API sees. A sandbox has more to say, to
// whoever is on its own computer.
func (i *Internet) api(w http.ResponseWriter, r *http.Request) {
	if i.opt.API == nil || !strings.HasPrefix(r.URL.Path, "/v2/") {
		http.NotFound(w, r)
		return
	}
	i.opt.API.ServeHTTP(w, r)
}

// hostOf is the host name that a request asks for, in lower case, without the port.
func hostOf(r *http.Request) string {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
