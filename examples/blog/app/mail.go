package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"time"
)

// mailWithin bounds one mail: the relay is next door and queues what it takes.
const mailWithin = 10 * time.Second

// send hands a visitor's message to the mail server, which is trusted and asks
// for no login. It returns when the server has taken it.
func send(ctx context.Context, c config, visitor *mail.Address, text string) error {
	ctx, cancel := context.WithTimeout(ctx, mailWithin)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.smtp)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	host, _, _ := net.SplitHostPort(c.smtp) // Dial has taken it
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	return deliver(client, c, message(c, visitor, text))
}

func deliver(client *smtp.Client, c config, message []byte) error {
	if err := client.Mail(c.from); err != nil {
		return err
	}
	if err := client.Rcpt(c.to); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return client.Quit()
}

// message is ours, not the visitor's: a server that took it as his would be
// right to call it forged.
func message(c config, visitor *mail.Address, text string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nReply-To: %s\r\n", c.from, c.to, visitor)
	fmt.Fprintf(&b, "Subject: A message from the blog\r\nDate: %s\r\nMessage-ID: <%s@blog>\r\n", time.Now().Format(time.RFC1123Z), rand.Text())
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte(text)) // a bytes.Buffer takes everything
	w.Close()
	b.WriteString("\r\n")
	return b.Bytes()
}
