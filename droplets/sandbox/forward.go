package sandbox

import (
	"io"
	"net"
	"net/http"
	"sync"

	"golang.org/x/crypto/ssh"
)

// forward is sshd's direct-tcpip (RFC 4254, 7.2): a connection that begins on
// the machine. The app's first container takes connections on any port, nginx
// on those that it listens on, and nothing else is there.
func (c *Cloud) forward(d *droplet, ch ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if ssh.Unmarshal(ch.ExtraData(), &to) != nil {
		ch.Reject(ssh.ConnectionFailed, "no address")
		return
	}
	serve := c.inside(d, to.Host, int(to.Port))
	if serve == nil {
		ch.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	conn, err := c.net.connect(&net.TCPAddr{IP: net.ParseIP(to.Host), Port: int(to.Port)}, serve, d.ID)
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer conn.Close()
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	var both sync.WaitGroup
	both.Go(func() {
		io.Copy(conn, channel)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	})
	both.Go(func() { io.Copy(channel, conn); channel.CloseWrite() })
	both.Wait()
}

// inside is what answers at an address that is reached from the machine alone.
func (c *Cloud) inside(d *droplet, host string, port int) service {
	now := c.lock()
	defer c.unlock()
	switch v := c.vitals(d, now); {
	case host == "127.0.0.1" || host == "localhost":
		return c.listening(d, port, false, now)
	case host == containerAddress(0) && v.app && c.behaviour(d).Kind != Exited:
		return c.plainService(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := &site{cloud: c, droplet: d.ID}
			f, up := s.facts()
			if !up {
				panic(http.ErrAbortHandler)
			}
			s.app(w, r, f)
		}))
	}
	return nil
}
