package look

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"cattle/droplets"
)

// A Tunnel leads from a port of this computer, on loopback alone, to a host
// and port that are reached from the droplet.
type Tunnel struct {
	Port int    // here; 0: one that is free
	Host string // a service of the app, or any host that the droplet reaches
	To   int    // the port there
}

// ParseTunnel reads PORT:HOST:PORT, or HOST:PORT for the same port on both ends.
func ParseTunnel(s string) (t Tunnel, err error) {
	parts := strings.Split(s, ":")
	if len(parts) == 2 {
		parts = []string{parts[1], parts[0], parts[1]}
	}
	if len(parts) != 3 || parts[1] == "" {
		return t, fmt.Errorf("%q is not PORT:HOST:PORT", s)
	}
	t.Host = parts[1]
	for i, to := range map[int]*int{0: &t.Port, 2: &t.To} {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil || n == 0 && i == 2 {
			return t, fmt.Errorf("%q in %q is no port", parts[i], s)
		}
		*to = int(n)
	}
	return t, nil
}

// Resolve finds the address of the tunnel's end: of a service, the one of its
// container; compose's names mean nothing outside of containers.
func (t Tunnel) Resolve(ctx context.Context, m *droplets.Machine, app string) (string, error) {
	all, err := Containers(ctx, m, app)
	if err != nil {
		return "", err
	}
	host, state := t.Host, ""
	for _, c := range all {
		if c.Service != t.Host {
			continue
		}
		if state = c.State; state == "running" {
			if host, err = address(ctx, m, c); err != nil {
				return "", err
			}
			break
		}
	}
	if state != "" && state != "running" {
		return "", &NoServiceError{Service: t.Host, State: state}
	}
	return net.JoinHostPort(host, strconv.Itoa(t.To)), nil
}

// Serve takes connections at l and leads each to address, until ctx ends,
// which closes l. refused hears of those that could not be made there.
func Serve(ctx context.Context, m *droplets.Machine, l net.Listener, address string, refused func(error)) {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		here, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer here.Close()
			there, err := m.Dial(ctx, address)
			if err != nil {
				if ctx.Err() == nil {
					refused(err)
				}
				return
			}
			defer there.Close()
			join(here, there)
		}()
	}
}

// join copies both ways until both have said all; what one end has finished
// saying the other is told.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			io.Copy(way[0], way[1])
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
		})
	}
	both.Wait()
}
