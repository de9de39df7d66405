package sandbox

import (
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

func TestMemConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := pipe(&net.TCPAddr{}, &net.TCPAddr{})
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}
