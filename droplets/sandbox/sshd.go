package sandbox

import (
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"net"

	"golang.org/x/crypto/ssh"
)

// serveSSH is the sshd of a droplet: root, by the keys of the account with
// which the droplet was created, commands, a shell, and connections from there.
func (c *Cloud) serveSSH(d *droplet, conn net.Conn) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, c.sshConfig(d))
	if err != nil {
		return
	}
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go c.carry(d, server, requests)
	// The loop ends when the connection does, which ends what runs on it.
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			if server.Permissions != nil {
				ch.Reject(ssh.Prohibited, "a stub serves rows in its own way")
				continue
			}
			go c.serveSession(ctx, d.ID, ch, server)
		case "direct-tcpip":
			go c.forward(d, ch)
		default:
			ch.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

func (c *Cloud) sshConfig(d *droplet) *ssh.ServerConfig {
	c.lock()
	defer c.unlock()
	var allowed [][]byte
	for _, line := range d.Authorized {
		if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
			allowed = append(allowed, key.Marshal())
		}
	}
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_10.0p2 sandbox",
		PublicKeyCallback: func(who ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.lends(d.ID, key) {
				return &ssh.Permissions{CriticalOptions: map[string]string{"force-command": stateScript + " serve"}}, nil
			}
			for _, a := range allowed {
				if who.User() == "root" && subtle.ConstantTimeCompare(a, key.Marshal()) == 1 {
					return nil, nil
				}
			}
			return nil, errors.New("permission denied")
		},
	}
	config.AddHostKey(c.seed(d).hostKey)
	return config
}

// serveSession runs one command, and ends the whole connection where a fault
// says so.
func (c *Cloud) serveSession(ctx context.Context, droplet int, ch ssh.NewChannel, whole io.Closer) {
	channel, requests, err := ch.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{cloud: c, droplet: droplet, stdin: channel, stdout: channel, stderr: channel.Stderr()}
	for r := range requests {
		var exec struct{ Command string }
		switch {
		case r.Type == "pty-req":
			s.terminal = newTerminal(channel)
			s.stdout, s.stderr = s.terminal, s.terminal
			r.Reply(true, nil)
			continue
		case r.Type == "shell":
			exec.Command = "bash"
		case r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil:
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		go func() {
			// Requests end when the client closes the channel.
			ssh.DiscardRequests(requests)
			cancel()
		}()
		status := s.run(ctx, exec.Command)
		if status == exitCut {
			whole.Close()
			return
		}
		finish(channel, status)
		return
	}
}

// finish tells the exit status of a command.
func finish(ch ssh.Channel, status int) {
	ch.CloseWrite()
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
	io.Closer(ch).Close()
}
