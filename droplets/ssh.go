package droplets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// A HostKeyError means that who answered at the droplet's address does not
// hold the host key that the droplet was made with.
type HostKeyError struct{ Address, Want, Got string }

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("%s does not hold the droplet's host key: expected SHA-256 %s, got %s", e.Address, e.Want, e.Got)
}

// An AuthError means that the droplet did not take any of the operator's keys.
type AuthError struct {
	Address string
	Err     error
}

func (e *AuthError) Error() string {
	return fmt.Sprintf("%s takes none of your SSH keys", e.Address)
}

func (e *AuthError) Unwrap() error { return e.Err }

// A SilentError means that nothing like SSH answers at the droplet's address:
// it may be off, still booting, or behind something that lets nobody through.
type SilentError struct {
	Address string
	Err     error
}

func (e *SilentError) Error() string { return e.Err.Error() }

func (e *SilentError) Unwrap() error { return e.Err }

// connectTimeout bounds one TCP connection and SSH handshake. A droplet that
// is up answers in well under a second; one that is not is tried again.
const connectTimeout = 10 * time.Second

// Connect logs in as root at address (port 22) and verifies that the droplet
// holds the host key of that fingerprint. *HostKeyError and *AuthError are
// final; anything else may pass, a droplet that is booting refuses at first.
func Connect(ctx context.Context, dialer Dialer, login *Login, address, hostKey string) (*Machine, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address, "22"))
	if err != nil {
		return nil, &SilentError{address, err}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	m, err := handshake(conn, login, address, hostKey)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if !stop() {
		m.Close()
		return nil, context.Cause(ctx)
	}
	return m, nil
}

func handshake(conn net.Conn, login *Login, address, hostKey string) (*Machine, error) {
	var impostor *HostKeyError
	var verified string
	cfg := &ssh.ClientConfig{
		User:              "root",
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(login.signers...)},
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := fingerprint(key); got != hostKey {
				impostor = &HostKeyError{Address: address, Want: hostKey, Got: got}
				return impostor
			}
			verified = authorizedLine(key)
			return nil
		},
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, address, cfg)
	switch {
	case impostor != nil:
		return nil, impostor
	case err != nil && verified != "" && !isNetwork(err):
		return nil, &AuthError{Address: address, Err: err}
	case err != nil:
		return nil, &SilentError{address, err}
	}
	return &Machine{ssh.NewClient(c, chans, reqs), verified}, nil
}

// isNetwork tells a connection that broke from a server that said no.
func isNetwork(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
