package cloudinit

import (
	"cmp"
	"fmt"
)

// mail is what Postfix's templates see.
type mail struct {
	Hostname  string
	Relayhost string // also the key of the password map, to the letter
	Login     bool   // the relay wants credentials
	Wrapped   bool   // TLS from the first byte, not STARTTLS
	From      string // sender of what the machine itself sends
	Root      string // where root's mail goes
}

func (v *view) addMail() error {
	m, domain := v.in.Profile.Mail, v.in.Profile.Domains[0]
	if m == nil {
		return nil
	}
	port := cmp.Or(m.Port, 2525)
	from := cmp.Or(m.From, v.App+"@"+domain)
	v.Mail = true
	v.mail = mail{Hostname: domain, Relayhost: fmt.Sprintf("[%s]:%d", m.Relay, port), Login: m.Username != "",
		Wrapped: port == 465, From: from, Root: cmp.Or(m.Root, v.Email, from)}
	return cmp.Or(plain("mail.relay", m.Relay), plain("mail.from", v.From), plain("mail.root", v.Root))
}
