package nspawn

import (
	"fmt"
	"net/netip"
)

// ruleset is the world's packet filter. The map reserved leads reserved
// addresses to droplets; connections that exist stay where they were made to,
// because the kernel remembers each one's translation. The set itself is what
// a droplet's own reserved address needs: an answer that comes back through
// the world. The set given has the reserved addresses that a profile names and
// that are not of the world's own.
func ruleset() string {
	return fmt.Sprintf(`table ip sandbox {
	map reserved { type ipv4_addr : ipv4_addr; }
	set itself { type ipv4_addr . ipv4_addr; }
	set given { type ipv4_addr; }
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		dnat to ip daddr map @reserved
	}
	chain output {
		type nat hook output priority -100; policy accept;
		dnat to ip daddr map @reserved
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr . ip daddr @itself snat to %[1]s
	}
	chain nowhere {
		meta l4proto tcp reject with tcp reset
		reject with icmp type host-unreachable
	}
	chain forward {
		type filter hook forward priority filter; policy accept;
		ip daddr %[2]s goto nowhere
		ip daddr @given goto nowhere
	}
	chain leaving {
		type filter hook output priority filter; policy accept;
		ip daddr %[2]s goto nowhere
		ip daddr @given goto nowhere
	}
}
`, gateway, reserved)
}

// assignRules leads a reserved address from one droplet's address to another's,
// in one transaction. An address that is the zero Addr is nowhere.
func assignRules(ip, from, to netip.Addr) string {
	var rules string
	if from.IsValid() {
		rules += fmt.Sprintf("delete element ip sandbox reserved { %s }\n", ip)
	}
	if to.IsValid() {
		rules += fmt.Sprintf("add element ip sandbox reserved { %s : %s }\n", ip, to)
	}
	return rules
}

// givenRules make an address a reserved one that leads nowhere yet.
func givenRules(ip netip.Addr) string {
	return fmt.Sprintf("add element ip sandbox given { %s }\n", ip)
}

// itselfRules let a droplet ask its own reserved address.
func itselfRules(ip netip.Addr) string {
	return fmt.Sprintf("add element ip sandbox itself { %[1]s . %[1]s }\n", ip)
}
