package sandbox_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

func TestMachineIsCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{Latency: sandbox.Latency{Active: 10 * time.Second}})
		defer r.Close()
		v := r.want(202, "POST", "/v2/droplets", r.spec(map[string]any{"size": "s-2vcpu-2gb"}))
		d, a := id(v, "droplet", "id"), id(v, "links", "actions", 0, "id")
		pass(10*time.Second - 1)
		r.wantCalls(f)
		pass(time.Second) // and nobody asked: the time alone starts it
		r.wantCalls(f, fmt.Sprint("Create ", d))
		r.wantStatus(d, "new")
		r.wantAction(a, "in-progress")
		if locked := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", d), nil), "droplet", "locked"); locked != true {
			t.Error("locked while it is made:", locked)
		}
		pass(time.Second)
		r.wantAction(a, "completed")
		r.wantStatus(d, "active")
		got := f.spec(d)
		got.Stopped = nil
		want := sandbox.Spec{ID: d, Name: "blog.example.com", Base: "debian-13-x64", IP: netip.MustParseAddr(r.address(d)),
			PrivateIP: netip.MustParseAddr("10.108.0.2"), VCPUs: 2, MemoryMiB: 2048, DiskGiB: 60}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("spec %v, want %v", got, want)
		}
	})
}

// TestMachinesAtOnce: what happens to different droplets happens at once.
func TestMachinesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := realRig(t, sandbox.Options{})
		defer r.Close()
		v := r.want(202, "POST", "/v2/droplets", map[string]any{"names": []string{"a", "b", "c"}, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-13-x64"})
		pass(time.Second)
		for n := range 3 {
			r.wantStatus(id(v, "droplets", n, "id"), "active")
		}
	})
}

func TestPowerOfMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		d := r.running(f)
		for _, c := range []struct{ kind, calls, during, after string }{
			{"reboot", "Reboot", "active", "active"},
			{"power_on", "", "active", "active"},
			{"shutdown", "Shutdown", "active", "off"},
			{"power_on", "PowerOn", "off", "active"},
			{"power_off", "PowerOff", "active", "off"},
			{"power_cycle", "PowerOff PowerOn", "off", "active"},
			{"enable_backups", "", "active", "active"},
		} {
			a := r.act(d, map[string]any{"type": c.kind})
			r.wantStatus(d, c.during)
			if c.calls != "" {
				r.wantAction(a, "in-progress")
				r.want(422, "POST", fmt.Sprintf("/v2/droplets/%d/actions", d), map[string]any{"type": "reboot"})
			}
			var want []string
			for call := range strings.FieldsSeq(c.calls) {
				pass(time.Second)
				want = append(want, fmt.Sprint(call, " ", d))
			}
			r.wantAction(a, "completed")
			r.wantCalls(f, want...)
			r.wantStatus(d, c.after)
		}
	})
}

// TestMachinesFail: what machines cannot do ends as errored, is explained, and
// leaves the droplet as it was.
func TestMachinesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		d := r.running(f)
		for method, kind := range map[string]string{"PowerOff": "power_off", "Shutdown": "shutdown", "Reboot": "reboot", "Snapshot": "snapshot"} {
			f.breaks(method, errors.New("no "+method))
			a := r.act(d, map[string]any{"type": kind, "name": "x"})
			pass(time.Second)
			r.wantAction(a, "errored")
			r.wantStatus(d, "active")
			if got, want := r.fault(d), kind+": no "+method; got != want {
				t.Errorf("fault %q, want %q", got, want)
			}
			f.breaks(method, nil)
		}
		if n := dig(r.want(200, "GET", "/v2/images?private=true", nil), "meta", "total"); n != 0.0 {
			t.Error("a snapshot that failed is listed")
		}
		a := r.act(d, map[string]any{"type": "reboot"})
		pass(time.Second)
		r.wantAction(a, "completed")
		if fault := r.fault(d); fault != "" {
			t.Error("the fault outlives a success:", fault)
		}
	})
}

func TestMachineThatIsNeverMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		f.breaks("Create", errors.New("no space left on device"))
		v := r.want(202, "POST", "/v2/droplets", r.spec(nil))
		d := id(v, "droplet", "id")
		pass(time.Second)
		r.wantAction(id(v, "links", "actions", 0, "id"), "errored")
		r.wantStatus(d, "new")
		if got := r.fault(d); got != "create: no space left on device" {
			t.Error("fault:", got)
		}
		f.breaks("Destroy", errors.New("busy"))
		path := fmt.Sprint("/v2/droplets/", d)
		r.want(204, "DELETE", path, nil)
		pass(time.Second)
		r.want(200, "GET", path, nil)
		f.breaks("Destroy", nil)
		r.want(204, "DELETE", path, nil)
		r.want(422, "DELETE", path, nil)
		r.want(200, "GET", path, nil)
		pass(time.Second)
		r.want(404, "GET", path, nil)
		r.wantCalls(f, fmt.Sprint("Create ", d), fmt.Sprint("Destroy ", d), fmt.Sprint("Destroy ", d))
	})
}

// TestFaultsWithMachines: an outcome without effect reaches no machine.
func TestFaultsWithMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		d := r.running(f)
		for _, c := range []struct {
			outcome sandbox.Outcome
			status  string
		}{{sandbox.Errored, "errored"}, {sandbox.NoOp, "completed"}} {
			r.Fault(sandbox.Fault{Method: "POST", Action: c.outcome})
			a := r.act(d, map[string]any{"type": "power_off"})
			pass(time.Second)
			r.wantAction(a, c.status)
			r.wantCalls(f)
			r.wantStatus(d, "active")
		}
		r.Fault(sandbox.Fault{Method: "POST", Action: sandbox.Lost})
		a := r.act(d, map[string]any{"type": "power_off"})
		pass(time.Second)
		r.want(404, "GET", fmt.Sprint("/v2/actions/", a), nil)
		r.wantCalls(f, fmt.Sprint("PowerOff ", d))
		r.wantStatus(d, "off")
		r.Fault(sandbox.Fault{Method: "POST", Action: sandbox.Stuck})
		a = r.act(d, map[string]any{"type": "power_on"})
		pass(time.Hour)
		r.wantAction(a, "in-progress")
		r.wantCalls(f)
	})
}

// TestStoppedFromInside: a machine that powers itself off is off.
func TestStoppedFromInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		d := r.running(f)
		f.spec(d).Stopped()
		r.wantStatus(d, "off")
		r.act(d, map[string]any{"type": "power_on"})
		pass(time.Second)
		r.wantStatus(d, "active")

		r.act(d, map[string]any{"type": "reboot"}) // stops on its way, and comes back
		pass(time.Millisecond)
		f.spec(d).Stopped()
		r.wantStatus(d, "active")
		pass(time.Second)
		r.wantStatus(d, "active")

		e := r.create(nil) // is off again before it is known to be on
		pass(time.Millisecond)
		f.spec(e).Stopped()
		r.wantStatus(e, "new")
		pass(time.Second)
		r.wantStatus(e, "off")

		r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", e), nil)
		pass(time.Second)
		f.spec(e).Stopped() // too late to matter
		r.want(404, "GET", fmt.Sprint("/v2/droplets/", e), nil)
	})
}

// TestStoppedIsForgotten: what became of one start says nothing about the next.
func TestStoppedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		f.breaks("Create", errors.New("it did not come up"))
		d := r.create(nil)
		pass(time.Millisecond)
		f.spec(d).Stopped()
		pass(time.Second)
		r.act(d, map[string]any{"type": "power_cycle"})
		pass(2 * time.Second)
		r.wantStatus(d, "active")
	})
}

func TestSnapshotOfMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		d := r.running(f)
		snap := func(droplet int) int {
			r.act(droplet, map[string]any{"type": "snapshot", "name": "baked"})
			pass(time.Second)
			list := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", droplet), nil), "droplet", "snapshot_ids")
			return id(list, 0)
		}
		first := snap(d)
		e := r.create(map[string]any{"image": first})
		pass(time.Second)
		second := snap(e)
		g := r.create(map[string]any{"image": fmt.Sprint(second), "name": "g"})
		pass(time.Second)
		r.wantCalls(f, fmt.Sprint("Snapshot ", d, " ", first), fmt.Sprint("Create ", e), fmt.Sprint("Snapshot ", e, " ", second), fmt.Sprint("Create ", g))
		if s := f.spec(e); s.Image != first || s.Base != "debian-13-x64" {
			t.Errorf("%+v", s)
		}
		if s := f.spec(g); s.Image != second || s.Base != "debian-13-x64" {
			t.Errorf("%+v", s)
		}
		r.want(204, "DELETE", fmt.Sprint("/v2/images/", first), nil)
		pass(time.Second)
		r.wantCalls(f, fmt.Sprint("DeleteImage ", first))
		r.want(422, "POST", "/v2/droplets", r.spec(map[string]any{"image": first}))
		r.want(200, "GET", fmt.Sprint("/v2/droplets/", e), nil)
	})
}

// TestCloseEndsMachines: Close cuts what is being done and waits for its end.
func TestCloseEndsMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		f.slow(time.Hour)
		d := r.create(nil)
		synctest.Wait()
		began := time.Now()
		r.Close()
		if took := time.Since(began); took != 0 || f.busy[machine(d)] {
			t.Error("closed after", took, f.busy)
		}
		if fault := r.fault(d); fault != "" {
			t.Error("an end is no failure:", fault)
		}
	})
}

// TestMachinesKeepNoState: an account with real machines begins empty, and
// leaves that of the stub ones alone.
func TestMachinesKeepNoState(t *testing.T) {
	opt := sandbox.Options{Dir: t.TempDir()}
	r := newRig(t, opt)
	stub := r.create(nil)
	ca := string(r.CA())
	r.Close()
	file := filepath.Join(opt.Dir, "state.json")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opt.Machines = newFakes(0)
	r = newRig(t, opt)
	r.want(404, "GET", fmt.Sprint("/v2/droplets/", stub), nil)
	r.create(nil)
	if string(r.CA()) != ca {
		t.Error("another authority")
	}
	r.Close()
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Error("the state was written", err)
	}
}

func TestMachinesAreNotToldHowToBehave(t *testing.T) {
	r, f := realRig(t, sandbox.Options{})
	f.slow(0)
	for _, c := range []struct{ path, body string }{
		{"behaviour", `{"release":"v1","kind":"never-healthy"}`},
		{"images/missing", `{"reference":"ghcr.io/me/blog:v9"}`},
		{"images/login", `{"host":"quay.io","username":"me","password":"x"}`},
	} {
		if status, body := r.control("POST", c.path, c.body); status != 400 || !strings.Contains(body, "machines of this sandbox are real") {
			t.Error(c.path, status, body)
		}
	}
	if status, body := r.control("POST", "faults", `{"path":"/v2/sizes","status":503}`); status != 204 {
		t.Error("faults are the API's:", status, body)
	}
	r.want(503, "GET", "/v2/sizes", nil)
}

// TestUserDataOfMachines: what is in user-data is still told, what goes on
// inside is not known.
func TestUserDataOfMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := realRig(t, sandbox.Options{Open: func([]byte, string, string) (map[string]string, error) {
			t.Error("secrets are opened outside of the machine")
			return nil, nil
		}})
		defer r.Close()
		key := func(s string) string {
			return strings.Replace(s, "write_files:\n", "write_files:\n- {path: /etc/cattle/age.key, content: x}\n", 1)
		}
		data, _ := release{version: "v1", attempt: "1", secrets: true, domains: []string{"a.example.com"}, mangle: key}.userData(t)
		r.create(map[string]any{"user_data": data})
		pass(time.Second)
		if m := r.Snapshot().Droplets[0]; m.Release != "v1" || m.App != "blog" || m.Boot != "" || m.Fault != "" || m.TLS {
			t.Errorf("%+v", m)
		}
	})
}
