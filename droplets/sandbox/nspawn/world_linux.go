package nspawn

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A world is the network of one sandbox: a network namespace without a name,
// held by a file descriptor, so that it ends with the process. It routes
// between its droplets, each of which hangs on a cable of its own, and answers
// for every address that one of them asks for on its wire. There is no bridge:
// a droplet cannot speak with another one's address, so the address of whoever
// asks for metadata can be trusted.
type world struct {
	ns    *os.File
	links *netlink.Handle
}

// newWorld makes a world with the sandbox's own addresses.
func newWorld(ctx context.Context) (_ *world, err error) {
	w := &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.ns, err = newNamespace(); err != nil {
		return nil, err
	}
	if w.links, err = netlink.NewHandleAt(netns.NsHandle(w.ns.Fd()), unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("the sandbox's network namespace: %w", err)
	}
	if err = w.do(writeSysctls); err != nil {
		return nil, err
	}
	if err = w.address(); err != nil {
		return nil, fmt.Errorf("the sandbox's addresses: %w", err)
	}
	return w, w.rules(ctx, ruleset())
}

// newNamespace makes a network namespace.
func newNamespace() (ns *os.File, err error) {
	err = onThread(func() error {
		ns, err = enterNewNamespace()
		return err
	})
	return ns, err
}

// enterNewNamespace gives the calling thread a network namespace of its own.
func enterNewNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("a network namespace: %w", err)
	}
	return os.Open("/proc/thread-self/ns/net")
}

// writeSysctls makes the calling thread's namespace a router for droplets.
func writeSysctls() error {
	for _, s := range [][2]string{
		{"ipv4/ip_forward", "1"},
		{"ipv4/conf/all/rp_filter", "1"},      // nobody speaks with another one's address
		{"ipv4/conf/all/proxy_arp", "1"},      // droplets think that they share a wire
		{"ipv4/conf/all/send_redirects", "0"}, // they do not
		{"ipv4/conf/default/send_redirects", "0"},
		{"ipv4/icmp_ratelimit", "0"}, // who asks a closed address hears so each time
		{"ipv6/conf/all/disable_ipv6", "1"},
		{"ipv6/conf/default/disable_ipv6", "1"},
	} {
		if err := os.WriteFile("/proc/sys/net/"+s[0], []byte(s[1]), 0o644); err != nil {
			if os.IsNotExist(err) && s[0][:4] == "ipv6" {
				continue // a kernel without IPv6
			}
			return err
		}
	}
	return nil
}

// address puts the sandbox's own addresses on the loopback interface, where
// every droplet's cable finds them.
func (w *world) address() error {
	lo, err := w.links.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, a := range own() {
		if err := w.links.AddrAdd(lo, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, 32))}); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	if err := w.links.LinkSetUp(lo); err != nil {
		return err
	}
	return w.routeToItself(reserved)
}

// routeToItself is for reserved addresses: without a route the sandbox's own
// packets to one would fail before the rules can turn them.
func (w *world) routeToItself(to netip.Prefix) error {
	lo, err := w.links.LinkByName("lo")
	if err != nil {
		return err
	}
	return w.links.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(to), Src: gateway.AsSlice(), Scope: netlink.SCOPE_LINK})
}

// do runs f on a thread that is in the world. What f opens stays there.
func (w *world) do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		if err = unix.Setns(int(w.ns.Fd()), unix.CLONE_NEWNET); err == nil {
			err = f()
		}
		// A thread that cannot go home ends with this goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// dial connects from within the world. The address is one of an IP and port:
// a name would be asked of this machine's resolver.
func (w *world) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, err
	}
	err = w.do(func() error {
		conn, err = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (w *world) close() error {
	if w.links != nil {
		w.links.Close()
	}
	if w.ns != nil {
		return w.ns.Close()
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
