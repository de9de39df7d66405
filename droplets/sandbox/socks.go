package sandbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// SOCKS 5 (RFC 1928): CONNECT without authentication, to IPv4 addresses and
// names. Names are resolved here, so clients use socks5h://.
const (
	socksVersion = 5
	socksConnect = 1

	atypIPv4   = 1
	atypDomain = 3
	atypIPv6   = 4

	repOK          = 0
	repFailure     = 1
	repNetUnreach  = 3
	repHostUnreach = 4
	repRefused     = 5
	repCommand     = 7
	repAddress     = 8
)

// socksHello is how long a client may take to say what it wants, socksDial
// how long the cloud's network may take to answer.
const (
	socksHello = 30 * time.Second
	socksDial  = 30 * time.Second
)

// ServeSOCKS is the way into the cloud's network for other programs. It
// serves until the listener or the cloud is closed, and then returns nil.
func (c *Cloud) ServeSOCKS(l net.Listener) error {
	if !c.net.track(l) {
		l.Close()
		return nil
	}
	defer c.net.untrack(l)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go c.serveSOCKS(conn)
	}
}

// track keeps what has to be closed with the cloud.
func (n *network) track(s io.Closer) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.socks[s] = struct{}{}
	}
	return !n.closed
}

func (n *network) untrack(s io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.socks, s)
}

func (c *Cloud) serveSOCKS(conn net.Conn) {
	defer conn.Close()
	if !c.net.track(conn) {
		return
	}
	defer c.net.untrack(conn)
	conn.SetDeadline(time.Now().Add(socksHello))
	addr, rep, err := socksRequest(conn)
	if err != nil {
		return
	}
	var to net.Conn
	if rep == repOK {
		to, err = c.dialFor(addr)
		rep = socksReply(err)
	}
	if _, err := conn.Write([]byte{socksVersion, rep, 0, atypIPv4, 0, 0, 0, 0, 0, 0}); err != nil || to == nil {
		if to != nil {
			to.Close()
		}
		return
	}
	conn.SetDeadline(time.Time{})
	splice(conn, to)
}

// dialFor gives up in the end: a real network may not answer at all.
func (c *Cloud) dialFor(addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(c.ctx, socksDial)
	defer cancel()
	return c.Dial(ctx, "tcp", addr)
}

// socksRequest reads greeting and request, and returns the address to dial.
func socksRequest(conn net.Conn) (addr string, rep byte, err error) {
	head := make([]byte, 2)
	if _, err = io.ReadFull(conn, head); err != nil {
		return "", 0, err
	}
	if head[0] != socksVersion {
		return "", 0, fmt.Errorf("SOCKS version %d", head[0])
	}
	if _, err = io.CopyN(io.Discard, conn, int64(head[1])); err != nil {
		return "", 0, err
	}
	if _, err = conn.Write([]byte{socksVersion, 0}); err != nil {
		return "", 0, err
	}
	request := make([]byte, 4)
	if _, err = io.ReadFull(conn, request); err != nil {
		return "", 0, err
	}
	host, rep, err := socksHost(conn, request[3])
	if err != nil {
		return "", 0, err
	}
	port := make([]byte, 2)
	if _, err = io.ReadFull(conn, port); err != nil {
		return "", 0, err
	}
	if request[1] != socksConnect {
		rep = repCommand
	}
	return hostPort(host, int(binary.BigEndian.Uint16(port))), rep, nil
}

func socksHost(r io.Reader, kind byte) (host string, rep byte, err error) {
	size := map[byte]int{atypIPv4: net.IPv4len, atypIPv6: net.IPv6len}[kind]
	if kind == atypDomain {
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "", 0, err
		}
		size = int(n[0])
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", 0, err
	}
	switch kind {
	case atypDomain:
		if !only(string(b), ".-_") {
			return "", repHostUnreach, nil // no name that anybody has
		}
		return string(b), repOK, nil
	case atypIPv4:
		return net.IP(b).String(), repOK, nil
	case atypIPv6:
		return net.IP(b).String(), repHostUnreach, nil // no IPv6 in this cloud
	}
	return "", repAddress, nil
}

func socksReply(err error) byte {
	var unknown *net.DNSError
	var late interface{ Timeout() bool }
	switch cause := reason(err); {
	case err == nil:
		return repOK
	case errors.Is(cause, syscall.ECONNREFUSED):
		return repRefused
	case errors.Is(cause, syscall.EHOSTUNREACH), errors.As(cause, &unknown):
		return repHostUnreach
	case errors.Is(cause, syscall.ENETUNREACH):
		return repNetUnreach
	case errors.As(cause, &late) && late.Timeout():
		return repHostUnreach
	}
	return repFailure
}

// splice copies both ways until both are done; an end that is cut cuts the other.
func splice(a, b net.Conn) {
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			to.Close()
			from.Close()
			return
		}
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}
	both.Go(func() { one(a, b) })
	both.Go(func() { one(b, a) })
	both.Wait()
	a.Close()
	b.Close()
}
