package droplets

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// A HostKey is a droplet's SSH host key, made by the operator before the
// droplet exists: its fingerprint goes into a tag, so every operator with the
// API token can tell the droplet from an impostor at the first contact.
type HostKey struct {
	Private     string // OpenSSH PEM
	Public      string // one authorized_keys line
	Fingerprint string // SHA-256 of the public key, 64 hex digits
}

// NewHostKey makes an ed25519 host key.
func NewHostKey() (HostKey, error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return HostKey{}, err
	}
	block, err := ssh.MarshalPrivateKey(priv, "")
	if err != nil {
		return HostKey{}, err
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return HostKey{}, err
	}
	return HostKey{
		Private:     string(pem.EncodeToMemory(block)),
		Public:      string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key))),
		Fingerprint: fingerprint(key),
	}, nil
}

func fingerprint(key ssh.PublicKey) string {
	sum := sha256.Sum256(key.Marshal())
	return hex.EncodeToString(sum[:])
}

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

// ErrNoSSHKey means that the operator has no private key to log in with.
var ErrNoSSHKey = errors.New("no SSH key: neither an agent with a key nor a key file")

// Login is how the operator proves who he is. Close it when done.
type Login struct {
	signers []ssh.Signer
	conn    io.Closer
}

// Close ends the connection to the SSH agent, if there is one.
func (l *Login) Close() error {
	if l.conn == nil {
		return nil
	}
	return l.conn.Close()
}

// defaultKeys are the names that ssh itself tries, best first.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// NewLogin collects the operator's keys: the file keyFile when one is named;
// else those of the agent at agentSocket and the usual ones in home/.ssh.
// Files with a passphrase are left to the agent.
func NewLogin(keyFile, agentSocket, home string) (*Login, error) {
	if keyFile != "" {
		signer, err := readKey(keyFile)
		if err != nil {
			return nil, err
		}
		return &Login{signers: []ssh.Signer{signer}}, nil
	}
	l := &Login{}
	if agentSocket != "" {
		if conn, err := net.Dial("unix", agentSocket); err == nil {
			l.conn = conn
			l.signers, _ = agent.NewClient(conn).Signers()
		}
	}
	for _, name := range defaultKeys {
		if signer, err := readKey(filepath.Join(home, ".ssh", name)); err == nil {
			l.signers = append(l.signers, signer)
		}
	}
	if len(l.signers) == 0 {
		l.Close()
		return nil, ErrNoSSHKey
	}
	return l, nil
}

func readKey(path string) (ssh.Signer, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer, nil
}

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
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	client, err := handshake(conn, login, address, hostKey)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if !stop() {
		client.Close()
		return nil, context.Cause(ctx)
	}
	return &Machine{client: client}, nil
}

func handshake(conn net.Conn, login *Login, address, hostKey string) (*ssh.Client, error) {
	var impostor *HostKeyError
	verified := false
	cfg := &ssh.ClientConfig{
		User:              "root",
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(login.signers...)},
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := fingerprint(key); got != hostKey {
				impostor = &HostKeyError{Address: address, Want: hostKey, Got: got}
				return impostor
			}
			verified = true
			return nil
		},
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, address, cfg)
	switch {
	case impostor != nil:
		return nil, impostor
	case err != nil && verified && !isNetwork(err):
		return nil, &AuthError{Address: address, Err: err}
	case err != nil:
		return nil, err
	}
	return ssh.NewClient(c, chans, reqs), nil
}

// isNetwork tells a connection that broke from a server that said no.
func isNetwork(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
