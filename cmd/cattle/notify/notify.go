// Package notify tells people how something ended: by a webhook that takes
// Slack's form, by ntfy, or by a mail for sendmail. An address may be all that
// it takes to post there: no error repeats one.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Message is what there is to tell: one line, and the rest.
type Message struct {
	Title, Text string
	Failed      bool
}

// maxText bounds the text of a message, in characters: who wants to know more
// looks himself. ntfy makes a file of what is longer than 4,096 bytes.
const maxText = 1500

func (m Message) text() string {
	text := strings.TrimRight(m.Text, "\n")
	if r := []rune(text); len(r) > maxText {
		text = string(r[:maxText]) + " …"
	}
	return text
}

// Slack gives a message to a webhook that takes {"text": …}.
func Slack(ctx context.Context, client *http.Client, address string, m Message) error {
	// Slack reads links and mentions out of <…>: https://api.slack.com/reference/surfaces/formatting#escaping
	plain := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	mark := map[bool]string{true: ":x: ", false: ":white_check_mark: "}[m.Failed]
	body, err := json.Marshal(map[string]string{"text": mark + plain.Replace(m.Title+"\n"+m.text())})
	if err != nil {
		return err
	}
	return post(ctx, client, address, body, http.Header{"Content-Type": {"application/json"}})
}

// Ntfy publishes a message under a topic's address; token is the account's, ""
// for a topic that takes messages from everybody.
func Ntfy(ctx context.Context, client *http.Client, address, token string, m Message) error {
	h := http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Title": {mime.QEncoding.Encode("utf-8", m.Title)}, "Priority": {"default"}, "Tags": {"white_check_mark"}}
	if m.Failed {
		h.Set("Priority", "high")
		h.Set("Tags", "x")
	}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return post(ctx, client, address, []byte(m.text()), h)
}

// Mail is the message as `sendmail -t` takes it. Who it is from the relay knows.
func Mail(to string, at time.Time, m Message) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "To: %s\nSubject: %s\nDate: %s\nAuto-Submitted: auto-generated\n", to, mime.QEncoding.Encode("utf-8", m.Title), at.Format(time.RFC1123Z))
	b.WriteString("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n")
	w := quotedprintable.NewWriter(&b)
	io.WriteString(w, m.text()+"\n")
	w.Close() // a buffer takes everything
	return bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n"))
}

// Client makes requests as the environment's proxies say, and follows no
// redirect: whoever is redirected to would get the message and the token.
func Client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Address checks one that was not in the profile, and so was not checked there.
func Address(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return errors.New("is not set")
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		return errors.New("is not an https address")
	}
	return nil
}

func post(ctx context.Context, client *http.Client, address string, body []byte, h http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address is none")
	}
	req.Header = h
	req.Header.Set("User-Agent", "cattle")
	resp, err := client.Do(req)
	if err != nil {
		return hidden(ctx, req.URL, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

// hidden is the error without the address.
func hidden(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var with *url.Error
	if errors.As(err, &with) {
		err = with.Err
	}
	return errors.New(strings.NewReplacer(u.String(), "its address", u.Host, "its host", u.Hostname(), "its host").Replace(err.Error()))
}
