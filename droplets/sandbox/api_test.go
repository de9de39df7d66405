package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/sandbox"
)

func TestQuota(t *testing.T) {
	r := newRig(t, sandbox.Options{DropletLimit: 2, ReservedIPLimit: 1})
	names := map[string]any{"name": nil, "names": []string{"a.example.com", "b.example.com"}}
	v := r.want(202, "POST", "/v2/droplets", r.spec(names))
	if len(dig(v, "droplets").([]any)) != 2 || len(dig(v, "links", "actions").([]any)) != 2 {
		t.Error("two droplets at once:", v)
	}
	v = r.want(422, "POST", "/v2/droplets", r.spec(nil))
	if dig(v, "message") != "creating this/these droplet(s) will exceed your droplet limit" || dig(v, "id") != "unprocessable_entity" {
		t.Error("over the limit:", v)
	}
	r.want(202, "POST", "/v2/reserved_ips", map[string]any{"region": "nyc3"})
	r.want(422, "POST", "/v2/reserved_ips", map[string]any{"region": "nyc3"})
	account := r.want(200, "GET", "/v2/account", nil)
	if dig(account, "account", "droplet_limit") != 2.0 || dig(account, "account", "floating_ip_limit") != 1.0 {
		t.Error(account)
	}
}

func TestPendingEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		one := r.create(nil)
		two := r.create(nil)
		path := func(d int) string { return fmt.Sprint("/v2/droplets/", d) }
		for _, refused := range []struct {
			method, path string
			body         any
		}{
			{"DELETE", path(one), nil},
			{"POST", path(one) + "/actions", map[string]any{"type": "power_off"}},
			{"POST", "/v2/reserved_ips", map[string]any{"droplet_id": one}},
		} {
			v := r.want(422, refused.method, refused.path, refused.body)
			if dig(v, "message") != "Droplet already has a pending event." {
				t.Error(refused, v)
			}
		}
		time.Sleep(30 * time.Second)
		ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": one}), "reserved_ip", "ip").(string)
		actions := "/v2/reserved_ips/" + ip + "/actions"
		r.want(422, "POST", actions, map[string]any{"type": "assign", "droplet_id": two}) // still on its way
		r.want(422, "DELETE", "/v2/reserved_ips/"+ip, nil)
		time.Sleep(5 * time.Second)
		r.want(201, "POST", path(one)+"/actions", map[string]any{"type": "reboot"})
		r.want(422, "POST", actions, map[string]any{"type": "assign", "droplet_id": two}) // the old droplet is busy
		time.Sleep(2 * time.Second)
		v := r.want(201, "POST", actions, map[string]any{"type": "assign", "droplet_id": two})
		if dig(v, "action", "status") != "in-progress" || dig(v, "action", "type") != "assign_ip" {
			t.Error(v)
		}
		at := func() int { return id(r.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip", "droplet", "id") }
		if at() != one {
			t.Error("the address moved before its action ended")
		}
		time.Sleep(5 * time.Second)
		if at() != two {
			t.Error("the address did not move")
		}
		r.want(422, "POST", actions, map[string]any{"type": "assign", "droplet_id": two}) // one a droplet
		v4 := dig(r.want(200, "GET", path(two), nil), "droplet", "networks", "v4").([]any)
		if len(v4) != 3 || dig(v4, 2, "ip_address") != ip || dig(v4, 2, "type") != "public" {
			t.Error("networks with a reserved IP:", v4)
		}
		r.want(204, "DELETE", path(two), nil)
		r.want(422, "DELETE", path(two), nil) // on its way out
		time.Sleep(3 * time.Second)
		r.want(404, "DELETE", path(two), nil)
		if at() != 0 {
			t.Error("the address outlived its droplet's assignment")
		}
	})
}

func TestReservedIPRegion(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	v := r.want(202, "POST", "/v2/reserved_ips", map[string]any{"region": "fra1"})
	if dig(v, "reserved_ip", "locked") != false || len(dig(v, "links").(map[string]any)) != 0 {
		t.Error("an address for a region:", v)
	}
	ip := dig(v, "reserved_ip", "ip").(string)
	here, there := r.create(nil), r.create(map[string]any{"region": "fra1"})
	r.want(422, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": here})
	r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": there})
	r.want(201, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "unassign"})
	r.want(422, "POST", "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "unassign"})
	list := dig(r.want(200, "GET", "/v2/reserved_ips/"+ip+"/actions", nil), "actions").([]any)
	if len(list) != 2 || dig(list, 0, "type") != "unassign_ip" || dig(list, 1, "type") != "assign_ip" {
		t.Error("its actions, newest first:", list)
	}
}

func TestCreateDefaultsAndPrefixes(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	d := r.create(map[string]any{"region": "nyc", "size": "s-1vcpu-512mb-10gb", "tags": []string{"Prod", "a:b"}, "ipv6": true, "monitoring": true})
	v := r.want(200, "GET", fmt.Sprint("/v2/droplets/", d), nil)
	if dig(v, "droplet", "region", "slug") != "nyc1" || dig(v, "droplet", "status") != "active" || dig(v, "droplet", "size", "price_monthly") != 4.0 {
		t.Error(v)
	}
	if len(dig(v, "droplet", "networks", "v6").([]any)) != 1 {
		t.Error("no IPv6")
	}
	// Tags keep the case of their first use.
	e := r.create(map[string]any{"tags": []string{"prod"}})
	if got := dig(r.want(200, "GET", fmt.Sprint("/v2/droplets/", e), nil), "droplet", "tags", 0); got != "Prod" {
		t.Error("tag", got)
	}
	if n := len(dig(r.want(200, "GET", "/v2/droplets?tag_name=Prod", nil), "droplets").([]any)); n != 2 {
		t.Error("droplets of the tag:", n)
	}
	r.want(422, "POST", "/v2/droplets", r.spec(map[string]any{"region": "sfo2", "size": "s-1vcpu-512mb-10gb"}))
	v = r.want(422, "POST", "/v2/droplets", r.spec(map[string]any{"ssh_keys": []any{"aa:bb"}}))
	if !strings.Contains(dig(v, "message").(string), "invalid key identifiers") {
		t.Error(v)
	}
	r.want(204, "DELETE", "/v2/droplets?tag_name=Prod", nil)
	r.want(404, "GET", fmt.Sprint("/v2/droplets/", d), nil)
	if n := id(r.want(200, "GET", "/v2/tags/Prod", nil), "tag", "resources", "count"); n != 0 {
		t.Error("a tag without droplets counts", n)
	}
}

func TestTagging(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	d := r.create(nil)
	in := map[string]any{"resources": []any{map[string]any{"resource_id": fmt.Sprint(d), "resource_type": "droplet"}}}
	r.want(404, "POST", "/v2/tags/late/resources", in)
	r.want(201, "POST", "/v2/tags", map[string]any{"name": "late"})
	r.want(204, "POST", "/v2/tags/late/resources", in)
	v := r.want(200, "GET", "/v2/tags/late", nil)
	if id(v, "tag", "resources", "droplets", "count") != 1 || !strings.HasSuffix(dig(v, "tag", "resources", "last_tagged_uri").(string), fmt.Sprint("/v2/droplets/", d)) {
		t.Error(v)
	}
	r.want(204, "DELETE", "/v2/tags/late/resources", in)
	if n := len(dig(r.want(200, "GET", "/v2/droplets?tag_name=late", nil), "droplets").([]any)); n != 0 {
		t.Error("still tagged:", n)
	}
	r.want(400, "POST", "/v2/tags", map[string]any{"name": "v1.0"})
}

func TestStaleLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{StaleLists: 4 * time.Second})
		defer r.Close()
		d := r.create(map[string]any{"tags": []string{"a"}})
		count := func() int { return len(dig(r.want(200, "GET", "/v2/droplets?tag_name=a", nil), "droplets").([]any)) }
		if count() != 0 {
			t.Error("a new droplet is listed at once")
		}
		r.want(200, "GET", fmt.Sprint("/v2/droplets/", d), nil)
		time.Sleep(4 * time.Second)
		if count() != 1 {
			t.Error("the droplet never got into the list")
		}
	})
}

func TestDropletActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: slowCloud()})
		defer r.Close()
		d := r.create(nil)
		time.Sleep(31 * time.Second)
		path := fmt.Sprint("/v2/droplets/", d)
		act := func(status int, body map[string]any) int {
			t.Helper()
			return id(r.want(status, "POST", path+"/actions", body), "action", "id")
		}
		status := func() any { return dig(r.want(200, "GET", path, nil), "droplet", "status") }
		act(422, map[string]any{"type": "dance"})
		act(201, map[string]any{"type": "power_on"}) // it is on: clients make sure
		time.Sleep(2 * time.Second)
		a := act(201, map[string]any{"type": "power_off"})
		if v := r.want(200, "GET", path, nil); dig(v, "droplet", "locked") != true || dig(v, "droplet", "status") != "active" {
			t.Error("while it is switched off:", v)
		}
		time.Sleep(2 * time.Second)
		if v := r.want(200, "GET", fmt.Sprint(path, "/actions/", a), nil); dig(v, "action", "status") != "completed" || status() != "off" {
			t.Error("switched off:", v, status())
		}
		act(422, map[string]any{"type": "reboot"})
		act(201, map[string]any{"type": "power_on"})
		time.Sleep(2 * time.Second)
		act(201, map[string]any{"type": "rename", "name": "new.example.com"})
		time.Sleep(2 * time.Second)
		act(201, map[string]any{"type": "snapshot", "name": "snap"})
		time.Sleep(2 * time.Second)
		v := r.want(200, "GET", path, nil)
		if dig(v, "droplet", "name") != "new.example.com" || dig(v, "droplet", "snapshot_ids", 0) == nil || status() != "active" {
			t.Error(v)
		}
		images := dig(r.want(200, "GET", "/v2/images?private=true", nil), "images").([]any)
		if len(images) != 1 || dig(images, 0, "name") != "snap" {
			t.Error("snapshots:", images)
		}
		if n := len(dig(r.want(200, "GET", path+"/actions", nil), "actions").([]any)); n != 6 {
			t.Error("actions:", n)
		}
	})
}

func TestBilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, sandbox.Options{Latency: sandbox.Latency{Active: 30 * time.Second}})
		defer r.Close()
		short, long := r.create(nil), r.create(nil)
		time.Sleep(30 * time.Second)
		r.want(204, "DELETE", fmt.Sprint("/v2/droplets/", short), nil)
		time.Sleep(70 * time.Second)
		bills := r.Bills()
		if len(bills) != 2 || bills[0].Droplet != short || bills[0].Seconds != 60 || !bills[0].Gone {
			t.Error("a bill is for 60 s at least:", bills)
		}
		if bills[1].Droplet != long || bills[1].Seconds != 100 || bills[1].Gone || bills[1].USD < 0.000247 || bills[1].USD > 0.000249 {
			t.Error("a droplet that runs is billed by the second:", bills[1])
		}
	})
}

func TestFirewallGuardsThePort(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.addKey()
	data, host := release{version: "v1", attempt: "1", domains: []string{"a.example.com"}}.userData(t)
	d := r.create(map[string]any{"user_data": data, "tags": []string{"blog"}})
	addr := r.address(d)
	r.ssh(addr, host).close()
	rule := map[string]any{"protocol": "tcp", "ports": "80", "sources": map[string]any{"addresses": []string{"0.0.0.0/0"}}}
	r.want(202, "POST", "/v2/firewalls", map[string]any{"name": "blog", "tags": []string{"blog"}, "inbound_rules": []any{rule}})
	if _, err := r.trySSH(addr, "root", host); err == nil {
		t.Error("a port that no rule allows is open")
	}
	if code, _, err := r.get("http://"+addr+"/", "a.example.com"); code != 200 {
		t.Error("an allowed port is closed:", err)
	}
}

func TestRequestLog(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.create(nil)
	r.call("GET", "/v2/droplets?tag_name=a", nil)
	r.call("GET", "/nothing", nil)
	got := ""
	for _, q := range r.Requests() {
		got += fmt.Sprintln(q.Method, q.Path, q.Query, q.Status, len(q.Body) > 0)
	}
	want := "POST /v2/droplets  202 true\nGET /v2/droplets tag_name=a 200 false\nGET /nothing  404 false\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if r.Reset(); len(r.Requests()) != 0 {
		t.Error("Reset kept requests")
	}
}

func TestUnknownRoutes(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	for _, path := range []string{"/v2", "/v2/", "/v2/apps", "/", "/v2//droplets"} {
		if v := r.want(http.StatusNotFound, "GET", path, nil); dig(v, "id") != "not_found" {
			t.Error(path, v)
		}
	}
	r.want(404, "PATCH", "/v2/droplets", nil)
}
