package profiles

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

const (
	// firstPort is below Linux's ephemeral range (32768 and up), so that no
	// outgoing connection can hold a port when compose wants to publish it.
	firstPort   = 20000
	lastPort    = 32767
	maxReplicas = 100 // of a service, on one machine
)

// publish gives each route target loopback ports, one for each replica, and
// returns the addresses. Targets are sorted, so the ports are always the same.
func (c *composed) publish(targets []string) (map[string][]string, error) {
	upstreams := map[string][]string{}
	next := portAllocator{taken: c.published(), next: firstPort}
	for _, to := range targets {
		name, port, ok := splitTarget(to)
		s, found := c.project.Services[name]
		if !ok || !found {
			return nil, &routeError{to, errors.New("there is no such service and port")}
		}
		addresses, err := c.publishOne(&s, port, &next)
		if err != nil {
			return nil, &routeError{to, err}
		}
		upstreams[to] = addresses
		c.project.Services[name] = s
	}
	return upstreams, nil
}

func (c *composed) publishOne(s *types.ServiceConfig, port int, next *portAllocator) ([]string, error) {
	switch {
	case s.NetworkMode == "host":
		return []string{address(port)}, nil
	case s.NetworkMode != "" && s.NetworkMode != "bridge":
		return nil, fmt.Errorf("service %q has network_mode %s, so it cannot publish a port", s.Name, s.NetworkMode)
	}
	n := s.GetScale()
	if n < 1 || n > maxReplicas {
		return nil, fmt.Errorf("service %q has %d replicas, 1 to %d can be served", s.Name, n, maxReplicas)
	}
	first, ok := next.take(n)
	if !ok {
		return nil, fmt.Errorf("no %d ports in a row are free from %d to %d", n, firstPort, lastPort)
	}
	addresses := make([]string, n)
	for i := range addresses {
		addresses[i] = address(first + i)
	}
	s.Ports = append(s.Ports[:len(s.Ports):len(s.Ports)], loopback(port, first, n))
	return addresses, nil
}

func address(port int) string { return "127.0.0.1:" + itoa(port) }

func loopback(target, first, n int) types.ServicePortConfig {
	published := itoa(first)
	if n > 1 {
		published += "-" + itoa(first+n-1)
	}
	return types.ServicePortConfig{
		Mode: "ingress", HostIP: "127.0.0.1", Target: uint32(target), Published: published, Protocol: "tcp",
	}
}

// published are the droplet's ports that the user's compose files take.
func (c *composed) published() map[int]bool {
	taken := map[int]bool{}
	for _, s := range c.project.Services {
		for _, p := range s.Ports {
			low, high, ranged := strings.Cut(p.Published, "-")
			first, err := strconv.ParseUint(low, 10, 16)
			if err != nil {
				continue
			}
			last := first
			if n, err := strconv.ParseUint(high, 10, 16); ranged && err == nil {
				last = n
			}
			for n := first; n <= last; n++ {
				taken[int(n)] = true
			}
		}
	}
	return taken
}

// A routeError is about the routes to one target.
type routeError struct {
	to    string
	cause error
}

func (e *routeError) Error() string { return fmt.Sprintf("route to %q: %v", e.to, e.cause) }
func (e *routeError) Unwrap() error { return e.cause }

type portAllocator struct {
	taken map[int]bool
	next  int
}

// take returns the first of n free ports in a row.
func (a *portAllocator) take(n int) (first int, ok bool) {
	for run := 0; a.next <= lastPort; {
		free := !a.taken[a.next]
		a.next++
		if run++; !free {
			run = 0
		}
		if run == n {
			return a.next - n, true
		}
	}
	return 0, false
}
