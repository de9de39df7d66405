package sandbox_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// fakeMachines writes down what it is asked for, takes a while over it, and
// notices when two things happen to one place at once.
type fakeMachines struct {
	takes time.Duration

	mu      sync.Mutex
	log     []string // "Create 1", in the order in which they began
	busy    map[string]bool
	overlap []string
	fail    map[string]error // by method
	specs   map[int]sandbox.Spec
	dialed  []string
	dialErr error // of Dial, default errNobody
	bounded bool  // whether the last Dial had a deadline
}

func newFakes(takes time.Duration) *fakeMachines {
	return &fakeMachines{takes: takes, busy: map[string]bool{}, fail: map[string]error{}, specs: map[int]sandbox.Spec{}}
}

// do is one call for a place.
func (f *fakeMachines) do(ctx context.Context, place, method string, args ...any) error {
	call := strings.TrimSpace(method + " " + strings.TrimSpace(fmt.Sprintln(args...)))
	f.mu.Lock()
	f.log = append(f.log, call)
	if f.busy[place] {
		f.overlap = append(f.overlap, call)
	}
	f.busy[place] = true
	takes := f.takes
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy[place] = false
	return errors.Join(f.fail[method], ctx.Err())
}

func machine(id int) string { return fmt.Sprint("machine ", id) }

func (f *fakeMachines) Create(ctx context.Context, s sandbox.Spec) error {
	f.mu.Lock()
	f.specs[s.ID] = s
	f.mu.Unlock()
	return f.do(ctx, machine(s.ID), "Create", s.ID)
}

func (f *fakeMachines) PowerOn(ctx context.Context, id int) error {
	return f.do(ctx, machine(id), "PowerOn", id)
}

func (f *fakeMachines) Shutdown(ctx context.Context, id int) error {
	return f.do(ctx, machine(id), "Shutdown", id)
}

func (f *fakeMachines) PowerOff(ctx context.Context, id int) error {
	return f.do(ctx, machine(id), "PowerOff", id)
}

func (f *fakeMachines) Reboot(ctx context.Context, id int) error {
	return f.do(ctx, machine(id), "Reboot", id)
}

func (f *fakeMachines) Destroy(ctx context.Context, id int) error {
	return f.do(ctx, machine(id), "Destroy", id)
}

func (f *fakeMachines) Snapshot(ctx context.Context, id, image int) error {
	return f.do(ctx, machine(id), "Snapshot", id, image)
}

func (f *fakeMachines) DeleteImage(ctx context.Context, image int) error {
	return f.do(ctx, fmt.Sprint("image ", image), "DeleteImage", image)
}

func (f *fakeMachines) AttachVolume(ctx context.Context, id int, v sandbox.Volume) error {
	return f.do(ctx, machine(id), "AttachVolume", id, v.Name)
}

func (f *fakeMachines) DetachVolume(ctx context.Context, id int, v sandbox.Volume) error {
	return f.do(ctx, machine(id), "DetachVolume", id, v.Name)
}

func (f *fakeMachines) DeleteVolume(ctx context.Context, volume string) error {
	return f.do(ctx, "volume "+volume, "DeleteVolume")
}

func (f *fakeMachines) Assign(ctx context.Context, ip, to netip.Addr) error {
	where := "nowhere"
	if to.IsValid() {
		where = to.String()
	}
	return f.do(ctx, ip.String(), "Assign", ip, where)
}

func (f *fakeMachines) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialed = append(f.dialed, network+" "+address)
	_, f.bounded = ctx.Deadline()
	return nil, cmp.Or(f.dialErr, errNobody)
}

var errNobody = errors.New("nobody is there")

// calls empties the log.
func (f *fakeMachines) calls() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.log, ", ")
	f.log = nil
	return s
}

func (f *fakeMachines) breaks(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[method] = err
}

// slow sets how long each call takes from now on.
func (f *fakeMachines) slow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes = d
}

func (f *fakeMachines) spec(id int) sandbox.Spec {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.specs[id]
}

// realRig is a cloud with fakes behind it; each call of one takes a second.
func realRig(t *testing.T, opt sandbox.Options) (*rig, *fakeMachines) {
	t.Helper()
	f := newFakes(time.Second)
	opt.Machines = f
	r := newRig(t, opt)
	t.Cleanup(func() {
		if len(f.overlap) > 0 {
			t.Error("two things at once at one place:", f.overlap)
		}
	})
	return r, f
}

// wantCalls compares what the machines were asked for since the last look.
func (r *rig) wantCalls(f *fakeMachines, want ...string) {
	r.t.Helper()
	if got := f.calls(); got != strings.Join(want, ", ") {
		r.t.Errorf("the machines did %q, want %q", got, strings.Join(want, ", "))
	}
}

// running makes a droplet and waits until it is active.
func (r *rig) running(f *fakeMachines) int {
	r.t.Helper()
	d := r.create(nil)
	pass(time.Second)
	r.wantCalls(f, fmt.Sprint("Create ", d))
	r.wantStatus(d, "active")
	return d
}

func (r *rig) wantStatus(droplet int, want string) {
	r.t.Helper()
	v := r.want(200, "GET", fmt.Sprint("/v2/droplets/", droplet), nil)
	if got := dig(v, "droplet", "status"); got != want {
		r.t.Errorf("droplet %d is %v, want %s", droplet, got, want)
	}
}

// act starts an action of a droplet and returns its id.
func (r *rig) act(droplet int, body map[string]any) int {
	r.t.Helper()
	return id(r.want(201, "POST", fmt.Sprintf("/v2/droplets/%d/actions", droplet), body), "action", "id")
}

func (r *rig) wantAction(action int, want string) {
	r.t.Helper()
	v := r.want(200, "GET", fmt.Sprint("/v2/actions/", action), nil)
	if got := dig(v, "action", "status"); got != want {
		r.t.Errorf("action %d is %v, want %s", action, got, want)
	}
}

// fault is what Snapshot says of a droplet.
func (r *rig) fault(droplet int) string {
	for _, m := range r.Snapshot().Droplets {
		if m.ID == droplet {
			return m.Fault
		}
	}
	return "no such droplet"
}

// pass lets time go by, and everything happen that comes with it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
