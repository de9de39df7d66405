package sandbox

import (
	"archive/tar"
	"bufio"
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A stub's Postfix hands everything to the relay at once. While the relay is
// away, it waits in the droplet's queue, and goes with the droplet.

// A Mail waits in the queue of a stub.
type Mail struct {
	ID   string `json:"id"` // letters and digits, good on every droplet
	Text string `json:"text"`
}

// queueID is what Postfix names a mail by.
var queueID = regexp.MustCompile("^[0-9A-Za-z]+$")

// mailPath is of the script that a droplet has which can hand its queue over.
const mailPath = "/opt/cattle/mail"

// RelayAway has the relay take nothing from now on, or again all that waits.
func (c *Cloud) RelayAway(away bool) {
	now := c.lock()
	defer c.unlock()
	c.state.RelayAway = away
	for _, d := range c.state.Droplets {
		c.flush(d, now)
	}
	c.touch()
}

// queue takes a mail, and hands it on if the relay is there.
func (c *Cloud) queue(d *droplet, now time.Time, m Mail) {
	d.Disk.Queue = append(d.Disk.Queue, m)
	c.flush(d, now)
	c.touch()
}

// flush hands all that waits to the relay, if both are there.
func (c *Cloud) flush(d *droplet, now time.Time) {
	if c.state.RelayAway || d.Disk.OnAt.IsZero() {
		return
	}
	for _, m := range d.Disk.Queue {
		c.note(Change{At: now, What: Relayed, Droplet: d.ID, Note: m.ID})
	}
	d.Disk.Queue = nil
}

// giveMail prints the queue as a tar, or nothing, and takes out of it what is
// acknowledged.
func (s *session) giveMail(ctx context.Context) int {
	var waiting []Mail
	s.with(func(d *droplet, _ time.Time) { waiting = slices.Clone(d.Disk.Queue) })
	if len(waiting) == 0 {
		return 0
	}
	w := tar.NewWriter(s.stdout)
	for _, m := range waiting {
		if put(w, &tar.Header{Typeflag: tar.TypeReg, Name: "hold/" + m.ID, Mode: 0o700, Size: int64(len(m.Text))}, []byte(m.Text)) != nil {
			return 1
		}
	}
	if w.Close() != nil {
		return 1
	}
	if end, ok := s.stdout.(interface{ CloseWrite() error }); ok {
		end.CloseWrite()
	}
	lines := bufio.NewScanner(io.LimitReader(s.stdin, maxInput))
	for ctx.Err() == nil && lines.Scan() {
		s.with(func(d *droplet, _ time.Time) {
			d.Disk.Queue = slices.DeleteFunc(d.Disk.Queue, func(m Mail) bool { return m.ID == lines.Text() })
			s.cloud.touch()
		})
	}
	return 0
}

// takeMail takes such a tar, but for what it took before, and prints what it has.
func (s *session) takeMail() int {
	var ids []string
	in := tar.NewReader(bufio.NewReader(io.LimitReader(s.stdin, maxInput)))
	var mails []Mail
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return s.fail(2, "tar: %v", err)
		}
		if dir, id := path.Split(h.Name); h.Typeflag == tar.TypeReg && dir == "hold/" && queueID.MatchString(id) {
			text, err := io.ReadAll(in)
			if err != nil {
				return s.fail(2, "tar: %v", err)
			}
			mails, ids = append(mails, Mail{id, string(text)}), append(ids, id)
		}
	}
	s.with(func(d *droplet, now time.Time) {
		for _, m := range mails {
			if !slices.Contains(d.Disk.TookMail, m.ID) {
				d.Disk.TookMail = append(d.Disk.TookMail, m.ID)
				s.cloud.queue(d, now, m)
			}
		}
	})
	if len(ids) > 0 {
		fmt.Fprintln(s.stdout, strings.Join(ids, "\n"))
	}
	return 0
}
