package droplets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A CommandError is a command that ran on the droplet and failed.
type CommandError struct {
	Command string
	Exit    int
	Reason  string // its last words, printable
}

func (e *CommandError) Error() string {
	s := fmt.Sprintf("%s failed on the droplet with exit status %d", e.Command, e.Exit)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// ErrEnough is what a reader of Command returns that has read all it wants.
var ErrEnough = errors.New("enough was read")

// Command runs words on the droplet, in a shell that takes each of them as it
// is, and hands what it prints to read. in may be nil; of what goes to standard
// error the end is kept for the *CommandError. When ctx ends, so does the
// connection.
func (m *Machine) Command(ctx context.Context, words []string, in io.Reader, read func(io.Reader) error) error {
	stop := context.AfterFunc(ctx, func() { m.client.Close() })
	defer stop()
	session, err := m.client.NewSession()
	if err != nil {
		return orCause(ctx, err)
	}
	defer session.Close()
	stderr := &tail{max: maxStderr}
	session.Stdin, session.Stderr = in, stderr
	out, err := session.StdoutPipe()
	if err == nil {
		err = session.Start(Quote(words...))
	}
	if err != nil {
		return orCause(ctx, err)
	}
	switch err := read(out); {
	case errors.Is(err, ErrEnough):
		return nil
	case err != nil:
		return orCause(ctx, err)
	}
	err = session.Wait()
	if errors.Is(err, io.EOF) { // it ended well, and left some of its input unread
		err = nil
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return &CommandError{Command: words[0], Exit: exit.ExitStatus(), Reason: Printable(strings.TrimSpace(stderr.String()))}
	}
	return orCause(ctx, err)
}

// Quote makes of words one line that a POSIX shell takes apart into the very
// same words.
func Quote(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

// plain are the characters that mean nothing to a shell, in any place.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+:,./-"

func quote(word string) string {
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// Dial connects from the droplet to an address that is reached from there: a
// container's, say. The connection ends with the machine's.
func (m *Machine) Dial(ctx context.Context, address string) (net.Conn, error) {
	return m.client.DialContext(ctx, "tcp", address)
}

// KeepAlive asks the droplet for a sign of life every so often, and closes the
// connection when none comes in that time: a network that goes away says
// nothing. It returns when the connection or ctx has ended.
func (m *Machine) KeepAlive(ctx context.Context, every time.Duration) {
	for {
		late := time.AfterFunc(2*every, func() { m.client.Close() })
		_, _, err := m.client.SendRequest("keepalive@openssh.com", true, nil)
		late.Stop()
		if err != nil {
			return
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}
