package sandbox

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// What droplets are told of their network.
const (
	publicGateway = "198.18.0.1"
	publicMask    = "255.255.0.0"
	nameserver    = "198.18.0.3"
)

// vendorData is the head of what DigitalOcean gives to cloud-init, without
// its lists of modules, which are those of the image anyway.
const vendorData = "#cloud-config\ndisable_root: false\nmanage_etc_hosts: true\n"

// Metadata is the service that droplets find at 169.254.169.254, port 80:
// /metadata/v1.json, and the same as plain text under /metadata/v1/. A droplet
// is known by the address that it calls from, Request.RemoteAddr: its own
// 198.18.H.L, its private one, or 169.254.(H+1).L, which it has before
// its network is set up. Anybody else gets 404. It needs no token and counts
// as no call of the API.
func (c *Cloud) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		caller, _ := netip.ParseAddrPort(r.RemoteAddr)
		doc, tree := c.metadata(caller.Addr().Unmap())
		switch rest, under := strings.CutPrefix(r.URL.Path, "/metadata/v1/"); {
		case doc == nil:
			http.NotFound(w, r)
		case r.URL.Path == "/metadata/v1.json":
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(doc)
		case r.URL.Path == "/metadata/v1":
			http.Redirect(w, r, "/metadata/v1/", http.StatusMovedPermanently)
		case under:
			tree.serve(w, r, rest)
		default:
			http.NotFound(w, r)
		}
	})
}

// metadata is what the droplet at an address may know, as JSON and as text;
// nil for an address without a droplet. A droplet that is being made or
// destroyed has its metadata already, or still.
func (c *Cloud) metadata(caller netip.Addr) (obj, folder) {
	c.lock()
	defer c.unlock()
	for _, d := range c.state.Droplets {
		own := address(d.IP)
		if caller == own || caller == linkLocal(own) || caller == address(d.PrivateIP) {
			f := c.nics(d)
			return c.metadataJSON(d, f), c.metadataText(d, f)
		}
	}
	return nil, nil
}

// linkLocal is the address that a droplet asks for its metadata from while it
// has no other.
func linkLocal(own netip.Addr) netip.Addr {
	b := own.As4()
	return netip.AddrFrom4([4]byte{169, 254, b[2] + 1, b[3]})
}

// A nic is a network interface of a droplet.
type nic struct {
	kind, mac string
	nets      []subnet
}

// A subnet is an address of an interface. IPv6 has a CIDR where IPv4 has a mask.
type subnet struct{ kind, address, mask, gateway string }

// nics are the interfaces of a droplet. A real machine has one, eth0: for one
// that it has not got cloud-init would fail the boot.
func (c *Cloud) nics(d *droplet) []nic {
	b := address(d.IP).As4()
	mac := fmt.Sprintf("02:00:c6:12:%02x:%02x", b[2], b[3])
	public := nic{"public", mac, []subnet{
		{"ipv4", d.IP, publicMask, publicGateway},
		// The anchor is where a reserved IP arrives at a droplet.
		{"anchor_ipv4", fmt.Sprintf("10.17.%d.%d", b[2], b[3]), "255.255.0.0", "10.17.0.1"},
	}}
	if c.real() {
		return []nic{public}
	}
	if d.IPv6 != "" {
		public.nets = append(public.nets, subnet{"ipv6", d.IPv6, "64", "2001:2::1"})
	}
	private := nic{"private", "02:01" + mac[5:], []subnet{{"ipv4", d.PrivateIP, "255.255.240.0", "10.108.0.1"}}}
	return []nic{public, private}
}

// metadataJSON is /metadata/v1.json.
func (c *Cloud) metadataJSON(d *droplet, nics []nic) obj {
	interfaces := obj{}
	for _, n := range nics {
		interfaces[n.kind] = []obj{n.json()}
	}
	ip := obj{"active": false}
	if r := c.reservedOf(d.ID); r != nil {
		ip = obj{"active": true, "ip_address": r.IP}
	}
	v := obj{
		"droplet_id": d.ID, "hostname": d.Name, "vendor_data": vendorData, "public_keys": d.publicKeys(),
		"auth_key": c.authKey(d), "region": d.Region, "interfaces": interfaces,
		"floating_ip": obj{"ipv4": ip}, "reserved_ip": obj{"ipv4": ip},
		"dns": obj{"nameservers": []string{nameserver}}, "tags": orEmpty(d.Tags),
		"features": obj{"dhcp_enabled": false}, "modify_index": c.state.NextID,
	}
	if d.UserData != "" {
		v["user_data"] = d.UserData
	}
	return v
}

func (n nic) json() obj {
	v := obj{"mac": n.mac, "type": n.kind}
	for _, s := range n.nets {
		sub := obj{"ip_address": s.address, "gateway": s.gateway}
		if bits, err := strconv.Atoi(s.mask); err == nil {
			sub["cidr"] = bits
		} else {
			sub["netmask"] = s.mask
		}
		v[s.kind] = sub
	}
	return v
}

// publicKeys are the account's keys that the droplet was made with.
func (d *droplet) publicKeys() []string {
	list := []string{}
	for _, k := range d.Authorized {
		list = append(list, strings.TrimSpace(k))
	}
	return list
}

// authKey is a secret between a droplet and the cloud, the same at every look.
func (c *Cloud) authKey(d *droplet) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s auth %d", c.ca.secret, d.ID))
	return fmt.Sprintf("%x", sum[:16])
}
