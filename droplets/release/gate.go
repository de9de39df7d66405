package release

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cattle/droplets"
	"cattle/droplets/release/probe"
)

// gate checks the droplet on its own address, everything at the same time,
// until all of it holds or the health deadline is over. It tells all that is
// wrong: the health check's 502 and the service that exited belong together.
func (r *run) gate(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, r.site.Health.Deadline)
	defer cancel()
	var errs [3]error
	var wg sync.WaitGroup
	start := func(i int, check func(context.Context) error) {
		wg.Go(func() {
			// What fails before the deadline fails for good.
			if errs[i] = check(within); errs[i] != nil {
				cancel()
			}
		})
	}
	r.scan(ctx)
	start(0, func(ctx context.Context) error {
		select {
		case err := <-r.ports:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	start(1, func(ctx context.Context) error {
		if err := r.until(ctx, "the droplet's status", r.look); err != nil {
			return err
		}
		start(2, r.healthCheck())
		return r.services(ctx)
	})
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := together(errs[:])
	if err == nil && !r.plan.moves() { // else they were read while nobody waited
		r.readUpdates(ctx)
	}
	return err
}

// together makes one error of those that say something of their own: a check
// that was stopped because another one had failed does not.
func together(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil || errors.Is(err, context.Canceled) })
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%w; %w", errs[0], together(errs[1:]))
}

// look asks the droplet for its status, over a new connection when the old
// one broke.
func (r *run) look(ctx context.Context) error {
	s, err := r.machine.Status(ctx)
	if err == nil {
		r.status = s
	}
	return r.reconnect(ctx, err)
}

// reconnect makes a new connection to the droplet where err is no answer of it.
func (r *run) reconnect(ctx context.Context, err error) error {
	var answered *droplets.VerbError
	if err == nil || errors.As(err, &answered) || ctx.Err() != nil {
		return err
	}
	r.machine.Close()
	if lerr := r.login(ctx, reachWithin); lerr != nil {
		return lerr
	}
	return err
}

// services waits until the boot is known to be sound and every compose service
// runs, and is healthy where it has a check.
func (r *run) services(ctx context.Context) error {
	if r.sound(r.status) == nil {
		return nil
	}
	return r.until(ctx, "the services", func(ctx context.Context) error {
		if err := r.look(ctx); err != nil {
			return err
		}
		return r.sound(r.status)
	})
}

func (r *run) sound(s droplets.MachineStatus) error {
	return sound(s, r.birth.Attempt, r.site.Services)
}

// sound judges one answer of a droplet's status.
func sound(s droplets.MachineStatus, attempt string, services []string) error {
	switch {
	case s.Attempt != attempt:
		return fmt.Errorf("the droplet says that it is attempt %q, not %s", droplets.Printable(s.Attempt), attempt)
	case s.Boot != droplets.StepOK:
		return fmt.Errorf("the boot is %s %s", droplets.Printable(string(s.Boot)), droplets.Printable(s.FailedStep))
	}
	for _, want := range services {
		i := slices.IndexFunc(s.Services, func(have droplets.Service) bool { return have.Name == want })
		if i < 0 {
			return &Known{"service-down", "", fmt.Errorf("service %s does not run", want)}
		}
	}
	for _, have := range s.Services {
		if err := serviceUp(have); err != nil {
			return err
		}
	}
	return nil
}

// killed is the exit status of a program that got SIGKILL: 128 and 9.
const killed = 137

// serviceUp accepts a service that runs (healthy where it can be) and a
// one-shot service that ended well.
func serviceUp(s droplets.Service) error {
	name, state := droplets.Printable(s.Name), droplets.Printable(s.State)
	switch {
	case s.State == "exited" && s.Exit == 0:
		return nil
	case s.State == "exited" && s.Exit == killed:
		return &Known{"service-killed", "more memory: droplet: {size: …} in the profile; or less to do, or a higher mem_limit of the service",
			fmt.Errorf("service %s was killed (status %d), for want of memory most likely", name, killed)}
	case s.State == "exited":
		return &Known{"service-down", "", fmt.Errorf("service %s exited with status %d", name, s.Exit)}
	case s.State != "running":
		return &Known{"service-down", "", fmt.Errorf("service %s is %s", name, state)}
	case s.Health != "" && s.Health != "healthy":
		return &Known{"service-unhealthy", "", fmt.Errorf("service %s is %s", name, droplets.Printable(s.Health))}
	}
	return nil
}

// healthCheck waits for the health check to succeed so many times in a row,
// and for the droplet to serve this attempt's id: over HTTPS when it has a
// certificate, which a first release has not before it is live.
func (r *run) healthCheck() func(context.Context) error {
	d := r.door(r.droplet.Address(r.ip), r.status.Certificate != nil)
	client, inRow := d.Client(), 0
	once := func(ctx context.Context) error {
		if err := r.healthyOnce(ctx, d, client, inRow == 0); err != nil {
			inRow = 0
			return unhealthy(err)
		}
		if inRow++; inRow < r.site.Health.Successes {
			return fmt.Errorf("healthy %d times in a row, %d are asked for", inRow, r.site.Health.Successes)
		}
		return nil
	}
	return func(ctx context.Context) error { return r.until(ctx, "the health check", once) }
}

// unhealthy tells an app that is slow from one that is wrong.
func unhealthy(err error) error {
	var late *probe.Late
	if errors.As(err, &late) {
		return &Known{"health-slow", "if it is slow by nature: health: {timeout: …} in the profile", err}
	}
	return &Known{"health-check", "", err}
}

func (r *run) healthyOnce(ctx context.Context, d probe.Door, client *http.Client, first bool) error {
	if first {
		id, err := d.Identity(ctx, client)
		if err != nil {
			return err
		}
		if id != r.birth.Attempt {
			return fmt.Errorf("the droplet serves attempt %q, not %s", droplets.Printable(id), r.birth.Attempt)
		}
	}
	return d.Healthy(ctx, client, r.site.Health)
}

// until repeats look at the health check's interval until it is content. When
// the time is up it says what look said last.
func (r *run) until(ctx context.Context, what string, look func(context.Context) error) error {
	var last error
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if perr := pause(ctx, r.interval()); perr != nil {
			if errors.Is(perr, context.DeadlineExceeded) {
				return fmt.Errorf("%s within %s: %w", what, brief(r.site.Health.Deadline), last)
			}
			return errors.Join(perr, last)
		}
	}
}

// dialTimeout is how long a port may take to answer before it counts as closed:
// TCP asks a second time after one second (RFC 6298).
const dialTimeout = 1500 * time.Millisecond

// watchedPorts are ports that a compose file or a package opens by mistake: a
// scan of all 65,535 would hold up the release and look like an attack.
var watchedPorts = [...]int{21, 23, 25, 53, 111, 139, 389, 445, 587, 1025, 1883, 2049, 2375, 2376, 2377, 3000, 3001, 3306, 4000, 4369, 5000, 5001, 5432, 5601,
	5672, 5900, 6379, 7474, 8000, 8001, 8008, 8025, 8080, 8081, 8086, 8443, 8888, 9000, 9001, 9042, 9090, 9092, 9200, 9300, 11211, 15672, 27017}

// scan begins to look at the ports, once. Nothing that listens starts after the
// boot, so it need not wait until the certificates have been carried over.
func (r *run) scan(ctx context.Context) {
	if r.ports != nil {
		return
	}
	ports := make(chan error, 1)
	r.ports = ports
	go func() { ports <- r.closedPorts(ctx) }()
}

// closedPorts fails when anything but 22, 80 and 443 answers from outside. A
// port that lets nobody in within dialTimeout is closed.
func (r *run) closedPorts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.dialFor(ctx))
	defer cancel()
	var mu sync.Mutex
	var open []int
	var wg sync.WaitGroup
	for _, port := range watchedPorts {
		wg.Go(func() {
			conn, err := r.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.droplet.Address(r.ip), strconv.Itoa(port)))
			if err != nil {
				return
			}
			conn.Close()
			mu.Lock()
			defer mu.Unlock()
			open = append(open, port)
		})
	}
	wg.Wait()
	if len(open) == 0 {
		return nil
	}
	slices.Sort(open)
	var list []string
	for _, p := range open {
		list = append(list, strconv.Itoa(p))
	}
	return &Known{"port-open", "write 127.0.0.1 before the port under ports: of the compose file, and a route in the profile",
		fmt.Errorf("reachable from outside beside 22, 80 and 443: %s", strings.Join(list, ", "))}
}
