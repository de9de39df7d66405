//go:build chaos && linux

package main

import (
	"net"
	"sync"
	"time"
)

// trouble is what is wrong with a wire.
type trouble string

const (
	noTrouble trouble = ""
	refused   trouble = "refused" // nobody listens
	reset     trouble = "reset"   // every connection is cut
	hanging   trouble = "hanging" // bytes go nowhere, and arrive when it is over
)

// A wire is a way to the sandbox that can be broken: a TCP proxy, which knows
// whose connection it cut.
type wire struct {
	to, addr string

	mu      sync.Mutex
	over    *sync.Cond // of a trouble
	trouble trouble
	l       net.Listener
	pairs   map[*net.TCPConn]*net.TCPConn // client to sandbox
	victims map[string]bool               // addresses of clients that it cut
}

func newWire(to string) (*wire, error) {
	w := &wire{to: to, pairs: map[*net.TCPConn]*net.TCPConn{}, victims: map[string]bool{}}
	w.over = sync.NewCond(&w.mu)
	// An address from which nobody dials: no client can take the port while
	// nobody listens on it.
	return w, w.listen("127.0.0.2:0")
}

func (w *wire) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	w.l, w.addr = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c.(*net.TCPConn))
		}
	}()
	return nil
}

// suffer breaks the wire for some time.
func (w *wire) suffer(t trouble, d time.Duration) error {
	w.mu.Lock()
	w.trouble = t
	if t == refused {
		w.l.Close()
	}
	if t != hanging {
		for client, server := range w.pairs {
			w.cut(client)
			server.Close()
		}
	}
	w.mu.Unlock()
	time.Sleep(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = noTrouble
	w.over.Broadcast()
	if t == refused {
		return w.listen(w.addr)
	}
	return nil
}

// cut resets a client's connection and remembers it. The wire must be locked.
func (w *wire) cut(client *net.TCPConn) {
	w.victims[client.RemoteAddr().String()] = true
	client.SetLinger(0)
	client.Close()
}

// wasCut tells whether the wire cut the last connection from that address.
func (w *wire) wasCut(client string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.victims[client]
}

func (w *wire) carry(client *net.TCPConn) {
	defer client.Close()
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	server := to.(*net.TCPConn)
	defer server.Close()
	if !w.admit(client, server) {
		return
	}
	defer w.forget(client)
	var both sync.WaitGroup
	both.Go(func() { w.copy(server, client) })
	both.Go(func() { w.copy(client, server) })
	both.Wait()
}

func (w *wire) admit(client, server *net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.victims, client.RemoteAddr().String())
	if w.trouble == reset || w.trouble == refused {
		w.cut(client)
		return false
	}
	w.pairs[client] = server
	return true
}

func (w *wire) forget(client *net.TCPConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pairs, client)
}

func (w *wire) copy(to, from *net.TCPConn) {
	defer to.CloseWrite()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		w.mu.Lock()
		for w.trouble == hanging {
			w.over.Wait()
		}
		w.mu.Unlock()
		if _, werr := to.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}
