package droplets

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
)

// A LentKey is the one-time key with which one droplet reads another one's
// data. It is made in memory and kept nowhere.
type LentKey struct {
	Public  string // one authorized_keys line
	private string
}

// NewLentKey makes an ed25519 key.
func NewLentKey() (LentKey, error) {
	k, err := NewHostKey()
	return LentKey{Public: k.Public, private: k.Private}, err
}

// A Source is the droplet that data is pulled from, as the other one reaches it.
type Source struct {
	Address string
	Port    int
	HostKey string // as known_hosts has it
	Key     LentKey
}

// order is what the engine reads of it.
func (s Source) order() ([]byte, error) {
	return json.Marshal(map[string]any{"address": s.Address, "port": s.Port, "key": s.Key.private, "host_key": s.HostKey})
}

// HostKey is the key that the droplet has proved to hold, as known_hosts has it.
func (m *Machine) HostKey() string { return m.hostKey }

// Forward has a port of the droplet's own loopback lead to what dial opens
// here: one droplet reaches another one through the operator. It ends with stop,
// or with the machine's connection.
func (m *Machine) Forward(dial func(context.Context) (net.Conn, error)) (port int, stop func(), err error) {
	l, err := m.client.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		l.Close()
		return 0, nil, errors.New("the droplet does not say at which port it listens")
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go join(ctx, conn, dial)
		}
	}()
	return address.Port, func() { cancel(); l.Close() }, nil
}

// join copies both ways until one side ends, or ctx.
func join(ctx context.Context, near net.Conn, dial func(context.Context) (net.Conn, error)) {
	defer near.Close()
	far, err := dial(ctx)
	if err != nil {
		return
	}
	defer far.Close()
	over := sync.OnceFunc(func() { near.Close(); far.Close() })
	defer context.AfterFunc(ctx, over)()
	var g sync.WaitGroup
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		g.Go(func() {
			io.Copy(ends[0], ends[1])
			closeWrite(ends[0])
		})
	}
	g.Wait()
}

// closeWrite tells the other end that no more comes, where that can be told.
func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		return
	}
	c.Close()
}
