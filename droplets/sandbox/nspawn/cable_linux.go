package nspawn

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// cableName is the world's end of a droplet's cable.
func cableName(id int) string { return fmt.Sprintf("d%d", id) }

// plug gives the calling thread's network namespace, which is a machine's, an
// eth0 with its hardware address and its link-local one, and leads the
// machine's addresses there.
func (w *world) plug(id int, ip netip.Addr, ns *os.File) error {
	local, err := linkLocal(ip)
	if err != nil {
		return err
	}
	cable := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: cableName(id)},
		PeerName:  "eth0", PeerHardwareAddr: hardware(ip), PeerNamespace: netlink.NsFd(ns.Fd()),
	}
	if err := w.links.LinkAdd(cable); err != nil {
		return fmt.Errorf("the machine's network cable: %w", err)
	}
	if err := configureEth0(local); err != nil {
		return fmt.Errorf("the machine's eth0: %w", err)
	}
	end, err := w.links.LinkByName(cable.Name)
	if err != nil {
		return err
	}
	// Answer for other droplets at once, not after up to 0.8 s.
	err = w.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/neigh/"+cable.Name+"/proxy_delay", []byte("0"), 0)
	})
	if err != nil {
		return err
	}
	if err := w.links.LinkSetUp(end); err != nil {
		return err
	}
	for _, a := range []netip.Addr{ip, local} {
		src := gateway
		if a == local {
			src = Metadata
		}
		err := w.links.RouteAdd(&netlink.Route{
			LinkIndex: end.Attrs().Index, Dst: ipNet(netip.PrefixFrom(a, 32)),
			Src: src.AsSlice(), Scope: unix.RT_SCOPE_LINK,
		})
		if err != nil {
			return fmt.Errorf("the route to %s: %w", a, err)
		}
	}
	return nil
}

// configureEth0 gives the calling thread's eth0 its first address.
func configureEth0(local netip.Addr) error {
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer here.Close()
	eth0, err := here.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := here.AddrAdd(eth0, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(local, 16))}); err != nil {
		return err
	}
	return here.LinkSetUp(eth0)
}

// unplug takes a machine's cable away, both ends and the routes.
func (w *world) unplug(id int) error {
	end, err := w.links.LinkByName(cableName(id))
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.links.LinkDel(end)
}
