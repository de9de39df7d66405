package sandbox_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

// TestAddressOfMachines: an address leads where the API says, however its
// droplets come and go.
func TestAddressOfMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		one, two := r.running(f), r.running(f)
		v := r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": one})
		ip, _ := dig(v, "reserved_ip", "ip").(string)
		path := "/v2/reserved_ips/" + ip
		addr := map[int]string{one: r.address(one), two: r.address(two)}
		at := func() int { return id(r.want(200, "GET", path, nil), "reserved_ip", "droplet", "id") }
		if at() != 0 {
			t.Error("assigned before a machine had it")
		}
		pass(time.Second)
		if at() != one {
			t.Error("at", at())
		}
		r.want(201, "POST", path+"/actions", map[string]any{"type": "assign", "droplet_id": two})
		r.want(422, "POST", path+"/actions", map[string]any{"type": "assign", "droplet_id": one})
		pass(time.Second)
		if at() != two {
			t.Error("at", at())
		}
		r.wantCalls(f, "Assign "+ip+" "+addr[one], "Assign "+ip+" "+addr[two])

		r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", two), nil)
		pass(2 * time.Second)
		if at() != 0 {
			t.Error("at", at())
		}
		r.wantCalls(f, fmt.Sprint("Destroy ", two), "Assign "+ip+" nowhere")

		r.want(201, "POST", path+"/actions", map[string]any{"type": "assign", "droplet_id": one})
		pass(time.Second)
		r.want(201, "POST", path+"/actions", map[string]any{"type": "unassign"})
		pass(time.Second)
		r.want(201, "POST", path+"/actions", map[string]any{"type": "assign", "droplet_id": one})
		pass(time.Second)
		r.want(204, "DELETE", path, nil)
		pass(time.Second)
		r.wantCalls(f, "Assign "+ip+" "+addr[one], "Assign "+ip+" nowhere", "Assign "+ip+" "+addr[one], "Assign "+ip+" nowhere")
	})
}

// TestAddressOfTheDying: the droplet goes while the address is on its way to it.
func TestAddressOfTheDying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		one, two := r.running(f), r.running(f)
		v := r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": one})
		ip, _ := dig(v, "reserved_ip", "ip").(string)
		a, b := r.address(one), r.address(two)
		pass(time.Second)
		f.slow(3 * time.Second)
		v = r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": two})
		synctest.Wait()
		f.slow(time.Second)
		r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", two), nil)
		pass(5 * time.Second)
		r.wantAction(id(v, "action", "id"), "errored")
		if got := id(r.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip", "droplet", "id"); got != one {
			t.Error("at", got)
		}
		r.wantCalls(f, "Assign "+ip+" "+a, "Assign "+ip+" "+b, fmt.Sprint("Destroy ", two), "Assign "+ip+" "+a)
	})
}

func TestAddressThatCannotMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, f := realRig(t, sandbox.Options{})
		defer r.Close()
		d := r.running(f)
		f.breaks("Assign", errors.New("no such map"))
		v := r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d})
		pass(time.Second)
		r.wantAction(id(v, "links", "actions", 0, "id"), "errored")
		s := r.Snapshot()
		if want := "assign_ip: no such map"; s.Droplets[0].Fault != want || s.ReservedIPs[0].Fault != want || s.ReservedIPs[0].Droplet != 0 || s.ReservedIPs[0].Locked {
			t.Errorf("%+v", s)
		}
	})
}
