package sandbox

import (
	"context"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// maxMailSize is Postfix's message_size_limit.
const maxMailSize = 10_240_000

// mails tells user-data that sets Postfix up.
func (s *seed) mails() bool { return s.files["/etc/postfix/main.cf"] != nil }

// sendmail is Postfix's, with -t: to whom is in the message. What it takes is a
// change of the cloud, and so is what the relay takes.
func (p place) sendmail(_ context.Context, args []string) int {
	var there bool
	p.with(func(d *droplet, now time.Time) {
		run := p.cloud.boot(d)
		there = p.cloud.seed(d).mails() && run.done("mail", now)
	})
	switch {
	case !there:
		return p.fail(exitNotFound, "bash: line 1: /usr/sbin/sendmail: No such file or directory")
	case !slices.Contains(args, "-t"):
		return p.fail(exitUsage, "sendmail: fatal: this machine is a stub, whose sendmail knows -t alone")
	}
	text, err := io.ReadAll(io.LimitReader(p.stdin, maxMailSize))
	if err != nil {
		return 75 // EX_TEMPFAIL of sysexits.h
	}
	m, err := mail.ReadMessage(strings.NewReader(string(text)))
	if err != nil {
		return p.fail(65, "sendmail: fatal: %v", err)
	}
	if to, err := m.Header.AddressList("To"); err != nil || len(to) == 0 {
		return p.fail(exitUsage, "sendmail: fatal: no recipient addresses found in message header")
	}
	p.with(func(d *droplet, now time.Time) {
		p.cloud.note(Change{At: now, What: Mailed, Droplet: d.ID, Note: string(text)})
		p.cloud.queue(d, now, Mail{ID: fmt.Sprintf("4Q%dz", p.cloud.state.id()), Text: string(text)})
	})
	return 0
}
