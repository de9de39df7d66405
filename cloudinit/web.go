package cloudinit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cattle/profiles"
)

// web is what nginx's templates see.
type web struct {
	Sites     []site
	Upstreams []upstream
	// How this nginx is told to speak HTTP/2.
	ListenHTTP2    string
	DirectiveHTTP2 bool
	HSTS           bool
	auths          []string // ${NAME}, numbered as their htpasswd files are
}

// A site is a set of host names that are served alike.
type site struct {
	App, File string
	Hosts     []string
	Locations []location
}

type location struct {
	Match      string // what follows `location`
	Auth       string // password file
	BodySize   string
	Websockets bool
	Upstream   string
	Redirect   string
	Directory  string // a `root` or `alias` directive
}

type upstream struct {
	Name, To string
	Servers  []string
}

func (v *view) addWeb() error {
	p := v.in.Profile
	v.DirectiveHTTP2 = v.distribution.http2Directive
	if !v.DirectiveHTTP2 {
		v.ListenHTTP2 = " http2"
	}
	// A browser remembers HSTS: only for certificates that it will go on to accept.
	v.HSTS = p.TLS.LetsEncrypt()
	v.Names = slices.Clone(p.Domains)
	for _, r := range p.Routes {
		if r.Host != "" && !slices.Contains(v.Names, r.Host) {
			v.Names = append(v.Names, r.Host)
		}
	}
	if err := v.addUpstreams(); err != nil {
		return err
	}
	return v.addSites()
}

func (v *view) addUpstreams() error {
	for i, r := range v.in.Profile.Routes {
		if r.To == "" || v.upstream(r.To) != "" {
			continue
		}
		servers := v.in.Stack.Upstreams[r.To]
		if strings.HasPrefix(r.To, "unix:") {
			servers = []string{r.To}
		}
		if len(servers) == 0 {
			return fmt.Errorf("routes.%d.to: nothing answers for %s", i, r.To)
		}
		if err := plain(fmt.Sprintf("routes.%d.to", i), r.To); err != nil {
			return err
		}
		v.Upstreams = append(v.Upstreams, upstream{Name: fmt.Sprintf("cattle_%d", len(v.Upstreams)), To: r.To, Servers: servers})
	}
	return nil
}

// upstream is the name under which nginx knows a route's target.
func (v *view) upstream(to string) string {
	for _, u := range v.Upstreams {
		if u.To == to {
			return u.Name
		}
	}
	return ""
}

// addSites gives each host its locations; hosts with the same ones share a server.
func (v *view) addSites() error {
	for _, host := range v.Names {
		if err := plain("domains", host); err != nil {
			return err
		}
		locations, err := v.locations(host)
		if err != nil {
			return err
		}
		same := slices.IndexFunc(v.Sites, func(s site) bool { return slices.Equal(s.Locations, locations) })
		if same >= 0 {
			v.Sites[same].Hosts = append(v.Sites[same].Hosts, host)
			continue
		}
		file := fmt.Sprintf("site-%d.conf", len(v.Sites))
		v.Sites = append(v.Sites, site{App: v.App, File: file, Hosts: []string{host}, Locations: locations})
	}
	return nil
}

// locations are a host's. A route that names the host wins over one that does
// not; those that name none are for the domains.
func (v *view) locations(host string) ([]location, error) {
	byPath := map[string]profiles.Route{}
	index := map[string]int{}
	for i, r := range v.in.Profile.Routes {
		path := cmp.Or(r.Path, "/")
		general := r.Host == "" && slices.Contains(v.in.Profile.Domains, host)
		if _, taken := byPath[path]; r.Host == host || general && !taken {
			byPath[path], index[path] = r, i
		}
	}
	var out []location
	for path, r := range sorted(byPath) {
		more, err := v.route(index[path], path, r)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// route is one location, or two: nginx takes a prefix for a string, and /api
// must not match /apiary.
func (v *view) route(i int, path string, r profiles.Route) ([]location, error) {
	l := location{BodySize: cmp.Or(r.BodySize, "10m"), Websockets: r.Websockets, Upstream: v.upstream(r.To),
		Redirect: strings.TrimSuffix(r.Redirect, "/"), Auth: v.auth(r.Auth)}
	for _, text := range []string{path, l.BodySize, cmp.Or(r.Redirect, "-"), cmp.Or(r.Static, "-")} {
		if err := plain(fmt.Sprintf("routes.%d", i), text); err != nil {
			return nil, err
		}
	}
	if path == "/" {
		l.Match = "/"
		if r.Static != "" {
			l.Directory = "root " + strings.TrimSuffix(r.Static, "/")
		}
		return []location{l}, nil
	}
	base := strings.TrimSuffix(path, "/")
	l.Match = "^~ " + base + "/"
	exact := l
	exact.Match = "= " + base
	if r.Static != "" {
		l.Directory = "alias " + strings.TrimSuffix(r.Static, "/") + "/"
		exact.Directory = "return 308 $scheme://$host" + base + "/"
	}
	return []location{exact, l}, nil
}

// auth is the password file for a route's ${NAME}; unseal makes it.
func (v *view) auth(reference string) string {
	if reference == "" {
		return ""
	}
	number := slices.Index(v.auths, reference)
	if number < 0 {
		number = len(v.auths)
		v.auths = append(v.auths, reference)
	}
	return fmt.Sprintf("/run/cattle/htpasswd-%d", number)
}

// sites writes each one's locations, which its HTTP and its TLS server share.
func sites(v *view) ([]File, error) {
	var files []File
	for _, s := range v.Sites {
		content, err := fill("templates/etc/nginx/cattle/site.conf.tmpl", s)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: "/etc/nginx/cattle/" + s.File, Mode: 0o644, Owner: "root:root", Content: content})
	}
	return files, nil
}
