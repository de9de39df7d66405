package droplets

import (
	"context"
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
)

// A Terminal is what a person sits at: its kind (the value of TERM) and its
// size in characters. Resized tells each new size.
type Terminal struct {
	Kind    string
	Size    TerminalSize
	Resized <-chan TerminalSize
}

// TerminalSize is in characters.
type TerminalSize struct{ Columns, Rows int }

// Streams are the operator's ends of a session.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Session runs a command on the droplet, or a login shell where command is
// empty, with a terminal where t is not nil, and returns its exit status. The
// error is about the way there; a command that fails is none. When ctx ends,
// so does the connection.
func (m *Machine) Session(ctx context.Context, command string, std Streams, t *Terminal) (int, error) {
	stop := context.AfterFunc(ctx, func() { m.client.Close() })
	defer stop()
	session, err := m.client.NewSession()
	if err != nil {
		return 0, orCause(ctx, err)
	}
	defer session.Close()
	session.Stdout, session.Stderr = std.Out, std.Err
	if err := feed(session, std.In); err != nil {
		return 0, err
	}
	if t != nil {
		modes := ssh.TerminalModes{ssh.ECHO: 1}
		if err := session.RequestPty(t.Kind, t.Size.Rows, t.Size.Columns, modes); err != nil {
			return 0, orCause(ctx, err)
		}
		done := make(chan struct{})
		defer close(done)
		go followSize(session, t.Resized, done)
	}
	if command == "" {
		err = session.Shell()
	} else {
		err = session.Start(command)
	}
	if err == nil {
		err = session.Wait()
	}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		// An exit status of ours has 8 bits: 256 would be 0.
		return min(exit.ExitStatus(), 255), nil
	}
	return 0, orCause(ctx, err)
}

// feed copies what the operator types. The session does not wait for it: a
// terminal has no end, and Session.Stdin would hold Wait until the next key.
func feed(session *ssh.Session, in io.Reader) error {
	to, err := session.StdinPipe()
	if err != nil || in == nil {
		return err
	}
	go func() {
		defer to.Close()
		io.Copy(to, in)
	}()
	return nil
}

func followSize(session *ssh.Session, sizes <-chan TerminalSize, done <-chan struct{}) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			session.WindowChange(size.Rows, size.Columns)
		case <-done:
			return
		}
	}
}
