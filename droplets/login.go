package droplets

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// ErrNoSSHKey means that the operator has no private key to log in with.
var ErrNoSSHKey = errors.New("no SSH key: neither an agent with a key nor a key file")

// Login is how the operator proves who he is. Close it when done.
type Login struct {
	signers []ssh.Signer
	conn    io.Closer
}

// Close ends the connection to the SSH agent, if there is one. A nil Login has none.
func (l *Login) Close() error {
	if l == nil || l.conn == nil {
		return nil
	}
	return l.conn.Close()
}

// Fingerprints are those of the operator's keys, MD5 as the API gives them.
func (l *Login) Fingerprints() []string {
	out := make([]string, len(l.signers))
	for i, s := range l.signers {
		out[i] = ssh.FingerprintLegacyMD5(s.PublicKey())
	}
	return out
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

// PublicKey is the public half of the private key file at path, one
// authorized_keys line.
func PublicKey(path string) (string, error) {
	signer, err := readKey(path)
	if err != nil {
		return "", err
	}
	return authorizedLine(signer.PublicKey()), nil
}

// maxKeyFile is the largest key file that is read, in bytes: RSA of 16,384 bits
// takes 13 KiB.
const maxKeyFile = 64 << 10

func readKey(path string) (ssh.Signer, error) {
	// Without O_NONBLOCK the open of a fifo waits for a writer. One that has a
	// writer is fine: CATTLE_SSH_KEY=<(pass show key).
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pem, err := readAtMost(f, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return signer, nil
}
