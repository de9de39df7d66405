package internet

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const (
	filesPort = 22 // of Files, at every host name of the internet
	// greetWithin is how long a client may take to log in.
	greetWithin = 30 * time.Second
)

// Files is a server of files over SFTP, for backups: the same one at every host
// name, and the same files for everybody who may log in. They are in memory, for
// as long as the internet is there.
type Files struct {
	signer ssh.Signer
	store  sftp.Handlers

	mu   sync.Mutex
	keys map[string]string // user -> public key, as it goes over the wire
	open bool
}

// NewFiles makes an empty server that lets nobody in yet.
func NewFiles() (*Files, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return &Files{signer: signer, store: sftp.InMemHandler(), keys: map[string]string{}}, err
}

// Login lets a user in who has the private part of a key.
func (f *Files) Login(user string, key ssh.PublicKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys[user] = string(key.Marshal())
}

// LoginHolder lets a user in who has that private key, as an OpenSSH file has it.
func (f *Files) LoginHolder(user, private string) error {
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err == nil {
		f.Login(user, signer.PublicKey())
	}
	return err
}

// Open lets everybody in, with any key.
func (f *Files) Open() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = true
}

// HostKey is the server's public key: what known_hosts has to have.
func (f *Files) HostKey() ssh.PublicKey { return f.signer.PublicKey() }

// KnownHost is the server's line of known_hosts under a name.
func (f *Files) KnownHost(name string) string {
	return name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(f.HostKey())))
}

func (f *Files) knows(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open && f.keys[c.User()] != string(key.Marshal()) {
		return nil, errors.New("no such login")
	}
	return nil, nil
}

// Serve takes connections until the function that it returns is called, which
// ends those that are there too.
func (f *Files) Serve(l net.Listener) (stop func() error, err error) {
	all := &connections{open: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if all.add(c) {
				go func() {
					defer all.end(c)
					f.talk(c)
				}()
			}
		}
	}()
	return func() error {
		all.endAll()
		return l.Close()
	}, nil
}

// talk is one connection, from the first byte to the last. What a client does
// wrong is told by the client.
func (f *Files) talk(c net.Conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: f.knows}
	config.AddHostKey(f.signer)
	c.SetDeadline(time.Now().Add(greetWithin))
	_, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	c.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests)
	for wanted := range channels {
		if wanted.ChannelType() != "session" {
			wanted.Reject(ssh.UnknownChannelType, "files alone are here")
			continue
		}
		if channel, requests, err := wanted.Accept(); err == nil {
			go f.session(channel, requests)
		}
	}
}

// session speaks SFTP where it is asked to, and nothing else.
func (f *Files) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		asked := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp"
		r.Reply(asked, nil)
		if !asked {
			continue
		}
		go ssh.DiscardRequests(requests)
		server := sftp.NewRequestServer(channel, f.store)
		defer server.Close()
		if err := server.Serve(); err == nil || errors.Is(err, io.EOF) {
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
		}
		return
	}
}

// connections are those that somebody has to end.
type connections struct {
	mu    sync.Mutex
	open  map[net.Conn]bool
	ended bool
}

func (all *connections) add(c net.Conn) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.ended {
		c.Close()
		return false
	}
	all.open[c] = true
	return true
}

func (all *connections) end(c net.Conn) {
	all.mu.Lock()
	defer all.mu.Unlock()
	c.Close()
	delete(all.open, c)
}

func (all *connections) endAll() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.ended = true
	for c := range all.open {
		c.Close()
	}
}
