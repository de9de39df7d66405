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
	s, err := m.start(Quote(words...), in)
	if err != nil {
		return orCause(ctx, err)
	}
	defer s.Close()
	switch err := read(s.out); {
	case errors.Is(err, ErrEnough):
		return nil
	case err != nil:
		return orCause(ctx, err)
	}
	err = s.wait()
	var exit *ssh.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return &CommandError{Command: words[0], Exit: exit.ExitStatus(), Reason: s.lastWords()}
	}
	return orCause(ctx, err)
}

// A session is a command that runs on the droplet.
type session struct {
	*ssh.Session
	out    io.Reader
	stderr *tail
}

// start runs a line of shell on the droplet; in may be nil.
func (m *Machine) start(line string, in io.Reader) (*session, error) {
	opened, err := m.client.NewSession()
	if err != nil {
		return nil, err
	}
	s := &session{Session: opened, stderr: &tail{max: maxStderr}}
	s.Stdin, s.Stderr = in, s.stderr
	if s.out, err = s.StdoutPipe(); err == nil {
		err = s.Start(line)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// wait tells how it ended. One that ended well may have left some of its input
// unread, of which ssh makes an EOF.
func (s *session) wait() error {
	if err := s.Wait(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// lastWords are the end of what it complained of, printable.
func (s *session) lastWords() string { return Printable(strings.TrimSpace(s.stderr.String())) }

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
