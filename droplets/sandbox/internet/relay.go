package internet

import (
	"bytes"
	"cmp"
	"crypto/subtle"
	"crypto/tls"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	smtps = 465 // the port of SMTP in TLS from the first byte
	// maxMessage is the usual limit of a relay, maxMail what is kept in memory
	// of all messages, in bytes: the oldest are forgotten.
	maxMessage = 25 << 20
	maxMail    = 64 << 20
	// relayName is in the certificate for clients that do not say which host
	// they want, as Postfix does by default.
	relayName = "relay.internal"
)

// Relay is a mail relay that takes what it is given by those with a login, on
// TLS, and delivers nothing.
type Relay struct {
	server *smtp.Server

	mu       sync.Mutex
	logins   map[string]string // user -> password
	open     bool
	messages []Message
	size     int
}

// Message is one that the relay took.
type Message struct {
	At   time.Time
	From string   // of the envelope
	To   []string // of the envelope
	User string   // the login that sent it
	TLS  bool     // whether the connection was encrypted
	Data []byte   // header and body
}

// size is about what a message takes in memory, in bytes.
func (m Message) size() int { return len(m.Data) + 1<<10 }

func newRelay(certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *Relay {
	r := &Relay{logins: map[string]string{}}
	s := smtp.NewServer(smtp.BackendFunc(r.session))
	s.Domain = relayName
	s.MaxMessageBytes, s.MaxRecipients = maxMessage, 100
	s.ReadTimeout, s.WriteTimeout = 5*time.Minute, time.Minute
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.TLSConfig = &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		named := *h
		named.ServerName = cmp.Or(h.ServerName, relayName)
		return certificate(&named)
	}}
	r.server = s
	return r
}

// Login lets a user in. Nobody gets in without one.
func (r *Relay) Login(user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logins[user] = password
}

// Open lets everybody in, with any login or none, encrypted or not: a relay that
// knows its customers by their addresses.
func (r *Relay) Open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = true
}

func (r *Relay) isOpen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

// Messages are those that were taken, oldest first.
func (r *Relay) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// serve takes mail until the function that it returns is called, which ends
// the other ports' connections too.
func (r *Relay) serve(l net.Listener) (stop func() error, err error) {
	go r.server.Serve(l)
	return func() error {
		l.Close() // Serve may not have come so far as to know of it
		if err := r.server.Close(); err != smtp.ErrServerClosed {
			return err
		}
		return nil
	}, nil
}

// serveTLS does so on a port where TLS comes first.
func (r *Relay) serveTLS(l net.Listener) (stop func() error, err error) {
	return r.serve(tls.NewListener(l, r.server.TLSConfig))
}

func (r *Relay) keep(m Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, m)
	r.size += m.size()
	for r.size > maxMail {
		r.size -= r.messages[0].size()
		r.messages = slices.Delete(r.messages, 0, 1)
	}
}

func (r *Relay) knows(user, password string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	want, found := r.logins[user]
	return r.open || found && subtle.ConstantTimeCompare([]byte(password), []byte(want)) == 1
}

func (r *Relay) session(c *smtp.Conn) (smtp.Session, error) {
	_, encrypted := c.TLSConnectionState()
	return &mailSession{relay: r, encrypted: encrypted}, nil
}

// mailSession is one connection; a new one begins with STARTTLS.
type mailSession struct {
	relay     *Relay
	encrypted bool
	user      string
	message   Message
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain, sasl.Login} }

// Auth is called on encrypted connections alone.
func (s *mailSession) Auth(mechanism string) (sasl.Server, error) {
	switch mechanism {
	case sasl.Plain:
		return sasl.NewPlainServer(func(_, user, password string) error { return s.login(user, password) }), nil
	case sasl.Login:
		return &loginServer{login: s.login}, nil
	}
	return nil, smtp.ErrAuthUnknownMechanism
}

func (s *mailSession) login(user, password string) error {
	if !s.relay.knows(user, password) {
		return smtp.ErrAuthFailed
	}
	s.user = user
	return nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	switch {
	case s.relay.isOpen():
	case !s.encrypted:
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Must issue a STARTTLS command first"}
	case s.user == "":
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.message.From = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.message.To = append(s.message.To, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	m := s.message
	m.At, m.User, m.TLS, m.Data = time.Now(), s.user, s.encrypted, b.Bytes()
	s.relay.keep(m)
	return nil
}

func (s *mailSession) Reset()        { s.message = Message{} }
func (s *mailSession) Logout() error { return nil }

// loginServer is the LOGIN mechanism: the user in one line, the password in
// another.
type loginServer struct {
	login func(user, password string) error
	asked bool // for the user
	user  *string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil && !l.asked:
		l.asked = true
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	return nil, true, l.login(*l.user, string(response))
}
