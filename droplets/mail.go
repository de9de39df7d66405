package droplets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxMailIDs bounds the names of mails that a droplet says it has: those of
// 100,000.
const maxMailIDs = 2 << 20

// CarryMail has what waits in the mail queue of one droplet be sent by another,
// which is logged in to if anything does, and returns how many mails that are. The giver deletes what the taker says
// that it has, and sends the rest by itself after all: whatever breaks, a mail is
// at one of them at least; at both, where the taker's answer was lost. An error
// may come beside mails that were carried. It is a *VerbError where a droplet
// does not know of it, see UnknownVerb, and with exit status 75 (EX_TEMPFAIL of
// sysexits.h) where one still sends something, which therefore stays there.
func CarryMail(ctx context.Context, from *Machine, login func(context.Context) (*Machine, error)) (n int, err error) {
	had := answer{given: make(chan struct{})}
	give := sync.OnceFunc(func() { close(had.given) })
	defer give()
	err = from.stream(ctx, "mail", &had, func(out io.Reader) error {
		defer give()
		mails := bufio.NewReader(out)
		if _, err := mails.Peek(1); err != nil {
			return ignoreEOF(err) // nothing waits
		}
		to, err := login(ctx)
		if err != nil {
			return err
		}
		defer to.Close()
		ids, err := to.takeMail(ctx, mails)
		if n = len(ids); n > 0 {
			had.text = strings.NewReader(strings.Join(ids, "\n") + "\n")
		}
		return err
	})
	return n, err
}

// An answer is read once it is given; one without a text is empty.
type answer struct {
	given chan struct{}
	text  io.Reader
}

func (a *answer) Read(b []byte) (int, error) {
	<-a.given
	if a.text == nil {
		return 0, io.EOF
	}
	return a.text.Read(b)
}

func (m *Machine) takeMail(ctx context.Context, mails io.Reader) (ids []string, err error) {
	err = m.stream(ctx, "install-mail", mails, func(out io.Reader) error {
		text, err := readAtMost(out, maxMailIDs)
		ids = strings.Fields(string(text))
		if i := slices.IndexFunc(ids, noMailID); err == nil && i >= 0 {
			err = fmt.Errorf("%q is no name of a mail", Line(ids[i]))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// noMailID tells what is no name of Postfix's: these have letters and digits alone.
func noMailID(s string) bool {
	return len(s) > 64 || strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != ""
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
