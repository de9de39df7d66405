package sandbox

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A folder is an index of the metadata as plain text: names in their order,
// each with a text or, ending in "/", with a folder of its own.
type folder []entry

type entry struct {
	name string
	text string
	sub  folder // nil for a text
}

func leaf(name, text string) entry { return entry{name: name, text: text} }

func dir(name string, sub ...entry) entry { return entry{name: name + "/", sub: orEmpty(sub)} }

// metadataText is the tree under /metadata/v1/.
func (c *Cloud) metadataText(d *droplet, nics []nic) folder {
	active := []entry{leaf("active", "false")}
	if ip := c.reservedOf(d.ID); ip != nil {
		active = []entry{leaf("active", "true"), leaf("ip_address", ip.IP)}
	}
	var interfaces, tags []entry
	for _, n := range nics {
		interfaces = append(interfaces, dir(n.kind, dir("0", n.text()...)))
	}
	for _, t := range d.Tags {
		tags = append(tags, leaf(t, t))
	}
	return folder{
		leaf("id", strconv.Itoa(d.ID)),
		leaf("hostname", d.Name),
		leaf("user-data", d.UserData),
		leaf("vendor-data", vendorData),
		leaf("public-keys", strings.Join(d.publicKeys(), "\n")),
		leaf("region", d.Region),
		dir("interfaces", interfaces...),
		dir("dns", leaf("nameservers", nameserver)),
		dir("floating_ip", dir("ipv4", active...)),
		dir("reserved_ip", dir("ipv4", active...)),
		dir("tags", tags...),
		dir("features", leaf("dhcp_enabled", "false")),
	}
}

// text is an interface; what JSON calls ip_address is address here.
func (n nic) text() []entry {
	list := []entry{leaf("mac", n.mac), leaf("type", n.kind)}
	for _, s := range n.nets {
		mask := "netmask"
		if s.kind == "ipv6" {
			mask = "cidr"
		}
		list = append(list, dir(s.kind, leaf("address", s.address), leaf(mask, s.mask), leaf("gateway", s.gateway)))
	}
	return list
}

// serve answers a path below a folder: "" is its index. An index that is
// asked for without its slash is elsewhere (301).
func (f folder) serve(w http.ResponseWriter, r *http.Request, path string) {
	if path == "" {
		plain(w, f.index())
		return
	}
	name, rest, deeper := strings.Cut(path, "/")
	for _, e := range f {
		switch {
		case e.sub != nil && e.name == name+"/" && deeper:
			e.sub.serve(w, r, rest)
		case e.sub != nil && e.name == name+"/":
			http.Redirect(w, r, r.URL.Path+"/", http.StatusMovedPermanently)
		case e.sub == nil && e.name == name && !deeper:
			plain(w, e.text)
		default:
			continue
		}
		return
	}
	http.NotFound(w, r)
}

func (f folder) index() string {
	var names []string
	for _, e := range f {
		names = append(names, e.name)
	}
	return strings.Join(names, "\n")
}

func plain(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, s)
}
