package nspawn

import (
	"fmt"
	"net"
	"net/netip"
)

// The world's addresses. 198.18.0.0/15 is set aside for benchmarks of network
// devices (RFC 2544): no host on the internet has one.
var (
	gateway  = netip.MustParseAddr("198.18.0.1")
	resolver = netip.MustParseAddr("198.18.0.3")
	// Outside is for everything that is no droplet, and Metadata is the metadata
	// service's address, DigitalOcean's own: the sandbox listens there.
	Outside  = netip.MustParseAddr("198.18.0.2")
	Metadata = netip.MustParseAddr("169.254.169.254")

	droplets = netip.MustParsePrefix("198.18.0.0/16")
	reserved = netip.MustParsePrefix("198.19.0.0/16")
)

// own are the addresses that the sandbox itself has in the world.
func own() []netip.Addr { return []netip.Addr{gateway, Outside, resolver, Metadata} }

// linkLocal is the address that a droplet has before its network is
// configured: 169.254.(H+1).L of 198.18.H.L. With it the metadata service
// knows who asks.
func linkLocal(ip netip.Addr) (netip.Addr, error) {
	b := ip.As4()
	if !droplets.Contains(ip) || b[2] == 255 || b[2]+1 == Metadata.As4()[2] && b[3] == Metadata.As4()[3] {
		return netip.Addr{}, fmt.Errorf("%s is no address for a droplet", ip)
	}
	return netip.AddrFrom4([4]byte{169, 254, b[2] + 1, b[3]}), nil
}

// hardware is the MAC address of a droplet's eth0. It follows from the IP, so
// that the metadata can have it before the machine is there.
func hardware(ip netip.Addr) net.HardwareAddr {
	b := ip.As4()
	return net.HardwareAddr{0x02, 0, b[0], b[1], b[2], b[3]}
}
