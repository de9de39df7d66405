package internet

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
)

// loginAuth is the LOGIN mechanism of a client.
type loginAuth struct {
	user, password string
	first          bool // whether the user comes with the command
}

func (a *loginAuth) Start(*smtp.ServerInfo) (string, []byte, error) {
	if a.first {
		return "LOGIN", []byte(a.user), nil
	}
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(challenge []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case string(challenge) == "Username:":
		return []byte(a.user), nil
	}
	return []byte(a.password), nil
}

func dialRelay(t *testing.T, w *testWorld, port int, secure bool) *smtp.Client {
	t.Helper()
	conn, err := w.dial(t.Context(), "tcp", address(internetIP, port))
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{ServerName: "smtp.example", RootCAs: w.trusted})
	}
	c, err := smtp.NewClient(conn, "smtp.example")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	var reply *textproto.Error
	if !errors.As(err, &reply) || reply.Code != code {
		t.Errorf("%s: %v, want %d", what, err, code)
	}
}

func send(t *testing.T, c *smtp.Client, body string) {
	t.Helper()
	for _, err := range []error{c.Mail("app@blog.example"), c.Rcpt("me@home.example"), c.Rcpt("you@home.example")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	data, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	data.Write([]byte(body))
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRelay(t *testing.T) {
	w := newWorld(t, Options{RelayPorts: []int{2525, 465}})
	w.Relay.Login("blog", "correct")
	w.Relay.Login("other", "other's")
	auths := map[string]smtp.Auth{
		"PLAIN":               smtp.PlainAuth("", "blog", "correct", "smtp.example"),
		"LOGIN":               &loginAuth{"blog", "correct", false},
		"LOGIN, user at once": &loginAuth{"blog", "correct", true},
	}
	for name, auth := range auths {
		c := dialRelay(t, w, 2525, false)
		if err := c.StartTLS(&tls.Config{ServerName: "smtp.example", RootCAs: w.trusted}); err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(auth); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		send(t, c, "Subject: "+name+"\r\n\r\nHello\r\n")
	}
	c := dialRelay(t, w, 465, true)
	if err := c.Auth(auths["PLAIN"]); err != nil {
		t.Fatal(err)
	}
	send(t, c, "Subject: wrapped\r\n\r\nHello\r\n")
	send(t, c, "Subject: again\r\n\r\nHello\r\n")
	all := w.Relay.Messages()
	if len(all) != 5 {
		t.Fatalf("%d messages", len(all))
	}
	for _, m := range all {
		if m.User != "blog" || !m.TLS || m.From != "app@blog.example" || strings.Join(m.To, " ") != "me@home.example you@home.example" ||
			!bytes.HasSuffix(m.Data, []byte("\r\n\r\nHello\r\n")) || m.At.IsZero() {
			t.Errorf("%+v", m)
		}
	}
}

func TestRelayRefuses(t *testing.T) {
	w := newWorld(t, Options{})
	w.Relay.Login("blog", "correct")
	c := dialRelay(t, w, 2525, false)
	if ok, _ := c.Extension("AUTH"); ok {
		t.Error("AUTH is offered without TLS")
	}
	err := c.Mail("app@blog.example")
	wantCode(t, "MAIL without TLS", err, 530)
	if !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("MAIL without TLS: %v", err)
	}
	wantCode(t, "AUTH without TLS", c.Auth(&loginAuth{"blog", "correct", true}), 523)
	c = dialRelay(t, w, 2525, false)
	// Postfix does not say which host it wants unless it is told to.
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if ok, mechanisms := c.Extension("AUTH"); !ok || mechanisms != "PLAIN LOGIN" {
		t.Errorf("AUTH %s", mechanisms)
	}
	wantCode(t, "MAIL without a login", c.Mail("app@blog.example"), 530)
	for _, auth := range []smtp.Auth{&loginAuth{"blog", "wrong", false}, &loginAuth{"nobody", "correct", true}, &loginAuth{"nobody", "", true},
		smtp.PlainAuth("", "blog", "", "smtp.example")} {
		c := dialRelay(t, w, 2525, false)
		if err := c.StartTLS(&tls.Config{ServerName: "smtp.example", RootCAs: w.trusted}); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "wrong login", c.Auth(auth), 535)
	}
	if n := len(w.Relay.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestOpenRelay(t *testing.T) {
	w := newWorld(t, Options{})
	w.Relay.Open()
	if err := dialRelay(t, w, 2525, false).Mail("app@blog.example"); err != nil {
		t.Error("without a login:", err)
	}
	c := dialRelay(t, w, 2525, false)
	if err := c.StartTLS(&tls.Config{ServerName: "smtp.example", RootCAs: w.trusted}); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(&loginAuth{"anybody", "anything", true}); err != nil {
		t.Error("with any login:", err)
	}
}

func TestRelayForgets(t *testing.T) {
	r := newRelay(nil)
	for n := range 8 {
		r.keep(Message{From: string(rune('0' + n)), Data: make([]byte, maxMail/4)})
	}
	all := r.Messages()
	if len(all) != 3 || all[2].From != "7" || r.size > maxMail {
		t.Errorf("%d messages, %d bytes", len(all), r.size)
	}
}

func TestCloseBeforeServe(t *testing.T) {
	w := newWorld(t, Options{})
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := w.Serve(w); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	for address, at := range w.ports {
		if c, err := net.Dial("tcp", at); err == nil && !strings.HasPrefix(address, "udp/") {
			c.Close()
			t.Errorf("%s is still served", address)
		}
	}
}
