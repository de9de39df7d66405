package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strings"
	"testing"
)

// sink takes one mail and gives what it was told: the commands and the data.
func sink(t *testing.T) (address string, got <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		out <- converse(conn)
	}()
	return l.Addr().String(), out
}

func converse(conn net.Conn) string {
	var all strings.Builder
	fmt.Fprint(conn, "220 sink\r\n")
	data := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		line := lines.Text()
		all.WriteString(line + "\n")
		switch {
		case data && line != ".":
			continue
		case line == "DATA":
			data = true
			fmt.Fprint(conn, "354 go on\r\n")
			continue
		case line == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return all.String()
		}
		data = false
		fmt.Fprint(conn, "250 ok\r\n")
	}
	return all.String()
}

func TestContact(t *testing.T) {
	address, got := sink(t)
	s, _ := newSite(t, config{smtp: address, from: "blog@blog.example.com", to: "owner@example.net"})
	text := `Grüße\n.\nBcc: all@example.net`
	if w := ask(s, "POST", "/contact", "application/json", `{"from": "Ann <ann@example.org>", "text": "`+text+`"}`); w.Code != 202 {
		t.Fatal(w.Code, w.Body)
	}
	told := <-got
	for _, want := range []string{"MAIL FROM:<blog@blog.example.com>", "RCPT TO:<owner@example.net>"} {
		if !strings.Contains(told, want) {
			t.Errorf("no %s in:\n%s", want, told)
		}
	}
	_, data, _ := strings.Cut(told, "DATA\n")
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(m.Body)
	if m.Header.Get("Reply-To") != `"Ann" <ann@example.org>` || m.Header.Get("Bcc") != "" || !strings.HasPrefix(string(body), "Gr=C3=BC=C3=9Fe\n") {
		t.Errorf("the mail is:\n%s", data)
	}
}

func TestWhatIsNoMessage(t *testing.T) {
	s, _ := newSite(t, config{smtp: "127.0.0.1:1"})
	for _, in := range []string{`{}`, `{"from": "ann", "text": "x"}`, `{"from": "a@b.example"}`, `{"from": "a@b.example\r\nBcc: c@d.example", "text": "x"}`} {
		if w := ask(s, "POST", "/contact", "application/json", in); w.Code != 422 {
			t.Error(in, w.Code)
		}
	}
	const message = `{"from": "a@b.example", "text": "x"}`
	if w := ask(s, "POST", "/contact", "application/json", message); w.Code != 500 {
		t.Error("no server there:", w.Code)
	}
	s.smtp = ""
	if w := ask(s, "POST", "/contact", "application/json", message); w.Code != 503 {
		t.Error("no server set:", w.Code)
	}
}
