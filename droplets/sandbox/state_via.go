package sandbox

import (
	"encoding/json"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd's tcpip-forward (RFC 4254, 7.1): a port of the droplet whose connections
// the operator takes up. A stub makes one to see that somebody answers there as
// an sshd does; rows go their own way.

// takesUp tells whether somebody takes up connections to a port of a droplet.
func (c *Cloud) takesUp(d *droplet, port int) bool { return c.carries[carriedPort{d.ID, port}] != nil }

type carriedPort struct{ droplet, port int }

// carry answers what an operator asks for beside sessions, until his
// connection ends.
func (c *Cloud) carry(d *droplet, server ssh.Conn, requests <-chan *ssh.Request) {
	mine := []carriedPort{}
	for r := range requests {
		var at struct {
			Host string
			Port uint32
		}
		if r.Type != "tcpip-forward" || ssh.Unmarshal(r.Payload, &at) != nil || !loopback(at.Host) || at.Port != 0 {
			r.Reply(false, nil)
			continue
		}
		c.lock()
		c.lastPort++
		port := carriedPort{d.ID, 40000 + c.lastPort%20000}
		c.carries[port] = server
		c.unlock()
		mine = append(mine, port)
		r.Reply(true, ssh.Marshal(struct{ Port uint32 }{uint32(port.port)}))
	}
	c.lock()
	defer c.unlock()
	for _, port := range mine {
		delete(c.carries, port)
	}
}

// follow finds out whether the port of a pull's order leads to the droplet that
// it names. Orders for another address have no port of ours.
func (q *stateCall) follow() error {
	var o pullOrder
	if q.verb != "pull" || json.Unmarshal([]byte(q.input), &o) != nil || !loopback(o.Address) {
		return nil
	}
	q.cloud.lock()
	server := q.cloud.carries[carriedPort{q.droplet, o.Port}]
	q.cloud.unlock()
	if server == nil {
		return cut("old", "ssh: connect to host "+o.Address+": Connection refused")
	}
	if err := greets(server, o); err != nil {
		return cut("old", "ssh: "+err.Error())
	}
	return nil
}

// greets opens a connection of that port and logs in where it leads to.
func greets(server ssh.Conn, o pullOrder) error {
	channel, requests, err := server.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}{"127.0.0.1", uint32(o.Port), "127.0.0.1", 50000}))
	if err != nil {
		return err
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	key, err := ssh.ParsePrivateKey([]byte(o.Key))
	if err != nil {
		return err
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(o.HostKey))
	if err != nil {
		return err
	}
	conn, chans, reqs, err := ssh.NewClientConn(channelConn{channel}, "127.0.0.1", &ssh.ClientConfig{User: "root",
		Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(host)})
	if err != nil {
		return err
	}
	return ssh.NewClient(conn, chans, reqs).Close()
}

// A channelConn is a channel for those who want a connection.
type channelConn struct{ ssh.Channel }

func (channelConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (channelConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (channelConn) SetDeadline(time.Time) error      { return nil }
func (channelConn) SetReadDeadline(time.Time) error  { return nil }
func (channelConn) SetWriteDeadline(time.Time) error { return nil }
