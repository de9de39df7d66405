package sandbox

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// dialMachines connects in the network of the machines.
func (c *Cloud) dialMachines(ctx context.Context, netw, host string, port int) (net.Conn, error) {
	to, err := c.locate(host, port)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: netw, Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	return c.opt.Machines.Dial(ctx, netw, to.String())
}

// locate finds where a host is in the network of the machines, past the
// firewalls of the account.
func (c *Cloud) locate(host string, port int) (netip.AddrPort, error) {
	c.lock()
	defer c.unlock()
	ip, err := netip.ParseAddr(host)
	if err != nil {
		if ip = c.whereIs(host); !ip.IsValid() {
			return netip.AddrPort{}, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	}
	to := netip.AddrPortFrom(ip, uint16(port))
	if c.closed {
		return to, syscall.ENETUNREACH
	}
	if d, _ := c.at(ip); d != nil && !c.admits(d, port) {
		return to, syscall.EHOSTUNREACH
	}
	return to, nil
}

// whereIs is the address of a name, the zero Addr for a name that has none.
func (c *Cloud) whereIs(name string) netip.Addr {
	ips, known := c.lookup(name)
	switch {
	case len(ips) > 0:
		return address(ips[0])
	case known:
		return netip.Addr{}
	}
	return c.opt.Internet
}
