package sandbox

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// lend lets a key in, for the program alone, from one address, for a time.
func (q *stateCall) lend(d time.Duration, peer string) error {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(q.input))
	if err != nil {
		return &stateFault{Code: "engine", Side: "old", Message: "stdin is no public key"}
	}
	s := &q.d.Disk.State
	s.Known, s.LentKey, s.LentPeer, s.LentUntil = true, string(ssh.MarshalAuthorizedKey(key)), peer, q.now.Add(d)
	q.cloud.touch()
	q.say(obj{"lent": true})
	return nil
}

func (q *stateCall) giveBack() error {
	s := &q.d.Disk.State
	s.LentKey, s.LentPeer, s.LentUntil = "", "", time.Time{}
	q.cloud.touch()
	q.say(obj{"lent": false})
	return nil
}

// lentTo tells whether a key is the one that was lent, and for how long.
func (s *stateDisk) lentTo(key ssh.PublicKey, now time.Time) bool {
	line, _, _, _, err := ssh.ParseAuthorizedKey([]byte(s.LentKey))
	return err == nil && bytes.Equal(line.Marshal(), key.Marshal()) && now.Before(s.LentUntil)
}

// lends tells whether a droplet lets a key in that was lent to it.
func (c *Cloud) lends(droplet int, key ssh.PublicKey) bool {
	now := c.lock()
	defer c.unlock()
	d := c.droplet(droplet)
	return d != nil && d.Disk.State.lentTo(key, now)
}

// A pullOrder is what a pull reads: where the other droplet is, what opens it,
// and what it must show.
type pullOrder struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Key     string `json:"key"`
	HostKey string `json:"host_key"`
}

func cut(side, message string) error {
	return &stateFault{Code: "cut", Side: side, Message: message}
}

// source is the droplet that a pull reaches, by the key that was lent to it.
func (q *stateCall) source() (*droplet, error) {
	var o pullOrder
	if json.Unmarshal([]byte(q.input), &o) != nil {
		return nil, &stateFault{Code: "engine", Side: "new", Message: "stdin is no order"}
	}
	signer, err := ssh.ParsePrivateKey([]byte(o.Key))
	if err != nil {
		return nil, &stateFault{Code: "engine", Side: "new", Message: "the key is none"}
	}
	d := q.cloud.peer(q.d, o)
	switch {
	case d == nil || d.ID == q.d.ID || !q.cloud.vitals(d, q.now).sshd || !q.cloud.admitsFrom(d, q.d, 22):
		return nil, cut("old", "ssh: connect to host "+o.Address+": Connection timed out")
	case strings.TrimSpace(o.HostKey) != q.cloud.hostKeyLine(d):
		return nil, cut("old", "Host key verification failed.")
	case !d.Disk.State.lentTo(signer.PublicKey(), q.now):
		return nil, cut("old", "root@"+o.Address+": Permission denied (publickey).")
	case !loopback(o.Address) && d.Disk.State.LentPeer != q.from(d, o):
		return nil, cut("old", "ssh: connect to host "+o.Address+": Connection timed out")
	}
	return d, nil
}

// peer finds who answers at an address: a droplet's own, or a port of this one
// that its operator carries on.
func (c *Cloud) peer(from *droplet, o pullOrder) *droplet {
	for _, d := range c.state.Droplets {
		switch {
		case loopback(o.Address):
			if c.takesUp(from, o.Port) && c.hostKeyLine(d) == strings.TrimSpace(o.HostKey) {
				return d
			}
		case o.Port != 22:
		case d.IP == o.Address, d.PrivateIP == o.Address && d.VPC == from.VPC:
			return d
		}
	}
	return nil
}

// from is the address under which this droplet is seen at the other one.
func (q *stateCall) from(d *droplet, o pullOrder) string {
	if d.PrivateIP == o.Address {
		return q.d.PrivateIP
	}
	return q.d.IP
}

func loopback(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsLoopback()
}

// admitsFrom is admits for who comes from another droplet of the account.
func (c *Cloud) admitsFrom(d, from *droplet, port int) bool {
	if c.admits(d, port) {
		return true
	}
	for _, w := range c.state.Walls {
		if w.holds(d) && slices.ContainsFunc(w.Inbound, func(r rule) bool { return r.admitsTagged(from, port) }) {
			return true
		}
	}
	return false
}

// admitsTagged tells a rule that lets in who has a tag.
func (r rule) admitsTagged(from *droplet, port int) bool {
	if r.Sources == nil || !slices.ContainsFunc(r.Sources.Tags, func(t string) bool { return slices.Contains(from.Tags, t) }) {
		return false
	}
	anybody := r
	anybody.Sources = &target{Addresses: []string{"0.0.0.0/0"}}
	return anybody.covers(port)
}

// hostKeyLine is a droplet's host key as ssh-keyscan has it, without the host.
func (c *Cloud) hostKeyLine(d *droplet) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(c.seed(d).hostKey.PublicKey())))
}
