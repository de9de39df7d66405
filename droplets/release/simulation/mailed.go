package simulation

import (
	"io"
	"strings"

	"cattle/droplets/sandbox"
)

// mailing is a site that sends mail.
func mailing(b *Bench) { b.Site.Mail = true }

// mailWaits has the relay be away, and mail wait on the live droplet.
func mailWaits(b *Bench) {
	b.Cloud.RelayAway(true)
	b.SendMail()
}

// SendMail has the app on the live droplet send two mails.
func (b *Bench) SendMail() {
	b.T.Helper()
	_, m := b.LoginToLive()
	defer m.Close()
	for _, to := range []string{"a", "b"} {
		mail := strings.NewReader("To: " + to + "@example.net\n\nmail\n")
		if err := m.Command(b.T.Context(), []string{"/usr/sbin/sendmail", "-t", "-i"}, mail, ignoring); err != nil {
			b.T.Fatal(err)
		}
	}
}

func ignoring(out io.Reader) error {
	_, err := io.Copy(io.Discard, out)
	return err
}

func mailScenes() []*scene {
	two := []string{"v1", "v2"}
	return []*scene{
		{name: "release, mail waits", before: two, keep: 1, verb: Releases("v3"), site: mailing, more: mailWaits, variant: true},
		{name: "release, mail waits, keep 0", before: two, keep: 0, verb: Releases("v3"), site: mailing, more: mailWaits},
		{name: "release taken back, mail waits", before: two, keep: 1, break_: "v3", fails: true, verb: Releases("v3"), site: mailing, more: mailWaits, variant: true},
		{name: "rollback, mail waits", before: two, keep: 1, verb: RollsBack, site: mailing, more: mailWaits, variant: true},
	}
}

// judgeMail has the relay come back. It wants what waited when the schedule began,
// and once: twice where somebody may have taken it whose answer was lost.
func (b *Bench) judgeMail(s *schedule) {
	if what := s.traits(); !b.Site.Mail || b.ends || what.hand {
		return
	}
	b.Cloud.RelayAway(false)
	sent := map[string]int{}
	for _, c := range b.Cloud.Changes() {
		if c.What == sandbox.Relayed {
			sent[c.Note]++
		}
	}
	twice := s.traits().kills || len(s.parts) > 1 || s.wrongAt("/mail") || s.wrongAt("/install-mail")
	for _, d := range b.Before.Droplets {
		for _, m := range d.Mails {
			if n := sent[m.ID]; n == 0 || n > 1 && !twice {
				b.violate(keepsMail, "%s, which waited on droplet %d, was sent %d times", m.ID, d.ID, n)
			}
		}
	}
}
