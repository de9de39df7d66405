package sandbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"cattle/droplets/sandbox"
)

// TestProjects: things are in the default project until they are put into
// another one, of which an address tells itself.
func TestProjects(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	d := r.create(nil)
	ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d}), "reserved_ip", "ip").(string)
	in := map[string]any{"name": "sites", "purpose": "my own"}
	p := dig(r.want(201, "POST", "/v2/projects", in), "project").(map[string]any)
	if p["purpose"] != "Other: my own" || p["is_default"] != false || p["environment"] != "Development" {
		t.Error(p)
	}
	r.want(409, "POST", "/v2/projects", in)
	r.want(400, "POST", "/v2/projects", map[string]any{"name": "nothing else"})
	if n := len(dig(r.want(200, "GET", "/v2/projects", nil), "projects").([]any)); n != 2 {
		t.Error(n, "projects")
	}
	here := "/v2/projects/" + p["id"].(string) + "/resources"
	droplet, address := fmt.Sprint("do:droplet:", d), "do:floatingip:"+ip
	put := func() string {
		return fmt.Sprint(dig(r.want(200, "POST", here, map[string]any{"resources": []string{droplet, address, "do:droplet:7"}}), "resources"))
	}
	if got := put(); strings.Count(got, "status:assigned") != 2 || strings.Count(got, "status:not_found") != 1 {
		t.Error(got)
	}
	if got := put(); strings.Count(got, "status:already_assigned") != 2 {
		t.Error(got)
	}
	if got := dig(r.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip", "project_id"); got != p["id"] {
		t.Error("the address is in the project", got)
	}
	if got := fmt.Sprint(r.want(200, "GET", "/v2/projects/default/resources", nil)); strings.Contains(got, droplet) {
		t.Error("it is in both:", got)
	}
	r.want(404, "POST", "/v2/projects/5a4981aa-9653-4bd1-bef5-d6bff52042e4/resources", map[string]any{"resources": []string{droplet}})
}

// TestFirewallActs: behind a firewall that is bound to its tag a machine
// answers on the ports that this lets in alone, at both its addresses; the
// firewall may be there first.
func TestFirewallActs(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.addKey()
	r.Break("v1", sandbox.Behaviour{Kind: sandbox.OpenPort, Port: 5432})
	data, _ := release{version: "v1", attempt: "1", domains: []string{"a.example.com"}}.userData(t)
	open := func(address string) (ports []int) {
		for _, port := range []int{22, 80, 443, 5432} {
			conn, err := r.Dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", address, port))
			if err == nil {
				conn.Close()
				ports = append(ports, port)
			} else if port == 5432 && !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Error("a port that is not let in:", err)
			}
		}
		return ports
	}
	bare := r.create(map[string]any{"user_data": data})
	if got := open(r.address(bare)); !slices.Contains(got, 5432) {
		t.Error("without a firewall:", got)
	}
	r.want(201, "POST", "/v2/tags", map[string]any{"name": "walled"})
	var rules []any
	for _, port := range []string{"22", "80", "443"} {
		rules = append(rules, map[string]any{"protocol": "tcp", "ports": port, "sources": map[string]any{"addresses": []string{"0.0.0.0/0"}}})
	}
	r.want(202, "POST", "/v2/firewalls", map[string]any{"name": "wall", "tags": []string{"walled"}, "inbound_rules": rules})
	d := r.create(map[string]any{"user_data": data, "tags": []string{"walled"}})
	ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d}), "reserved_ip", "ip").(string)
	for _, address := range []string{r.address(d), ip} {
		if got := open(address); !slices.Contains(got, 22) || !slices.Contains(got, 80) || slices.Contains(got, 5432) {
			t.Errorf("behind the firewall %s answers on %v", address, got)
		}
	}
}

// TestFieldsAskForScopes: what a token may not read is left out of answers, and
// what it may not name is refused, as the description says beside the field.
func TestFieldsAskForScopes(t *testing.T) {
	r := newRig(t, sandbox.Options{Token: "all", Tokens: map[string][]string{
		"walls": {"firewall:read", "firewall:create", "firewall:update", "reserved_ip:read"}, "tags": {"firewall:create", "firewall:read", "tag:read", "tag:create"},
		"projects": {"project:assign_resource"}}})
	r.token = "all"
	d := r.create(map[string]any{"tags": []string{"walled"}})
	ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"droplet_id": d}), "reserved_ip", "ip").(string)
	wall := func(name string) map[string]any {
		return map[string]any{"name": name, "tags": []string{"walled"}, "inbound_rules": []any{map[string]any{"protocol": "tcp", "ports": "22", "sources": map[string]any{"addresses": []string{"0.0.0.0/0"}}}}}
	}
	r.want(202, "POST", "/v2/firewalls", wall("one"))
	r.token = "walls"
	r.want(403, "POST", "/v2/firewalls", wall("two"))
	if got := fmt.Sprint(r.want(200, "GET", "/v2/firewalls", nil)); strings.Contains(got, "walled") {
		t.Error("tags without tag:read:", got)
	}
	if v := dig(r.want(200, "GET", "/v2/reserved_ips/"+ip, nil), "reserved_ip").(map[string]any); v["project_id"] != nil {
		t.Error("a project without project:read:", v["project_id"])
	}
	r.token = "tags"
	r.want(202, "POST", "/v2/firewalls", wall("two"))
	if got := fmt.Sprint(r.want(200, "GET", "/v2/firewalls", nil)); strings.Count(got, "walled") != 2 {
		t.Error("tags with tag:read:", got)
	}
	r.token = "projects"
	r.want(403, "POST", "/v2/projects/default/resources", map[string]any{"resources": []string{fmt.Sprint("do:droplet:", d)}})
}

// TestZoneFile: each record is a line that a name server would take.
func TestZoneFile(t *testing.T) {
	r := newRig(t, sandbox.Options{})
	r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com", "ip_address": "198.51.100.7"})
	for _, in := range []map[string]any{
		{"type": "CNAME", "name": "www", "data": "@"}, {"type": "CNAME", "name": "out", "data": "a.example.net."},
		{"type": "TXT", "name": "_cattle", "data": "cattle:app:blog"}, {"type": "MX", "name": "@", "data": "mx.example.net.", "priority": 10},
	} {
		v := dig(r.want(201, "POST", "/v2/domains/example.com/records", in), "domain_record").(map[string]any)
		if strings.HasSuffix(v["data"].(string), ".") {
			t.Error("a name in an answer ends with a dot:", v)
		}
	}
	file := dig(r.want(200, "GET", "/v2/domains/example.com", nil), "domain", "zone_file").(string)
	for _, line := range []string{
		"example.com. 1800 IN A 198.51.100.7", "www.example.com. 1800 IN CNAME example.com.", "out.example.com. 1800 IN CNAME a.example.net.",
		`_cattle.example.com. 1800 IN TXT "cattle:app:blog"`, "example.com. 1800 IN MX 10 mx.example.net.",
	} {
		if !strings.Contains(file, line+"\n") {
			t.Errorf("%s is not in\n%s", line, file)
		}
	}
}

// TestFurnishAround: a project is there by its name or by its id, domains as
// zones, and a VPC can be read; what is there already stays.
func TestFurnishAround(t *testing.T) {
	const id = "5a4981aa-9653-4bd1-bef5-d6bff52042e4"
	r := newRig(t, sandbox.Options{})
	for _, project := range []string{"sites", id, "sites", id} {
		if err := r.Furnish(sandbox.Furniture{Region: "fra1", Project: project, Domains: []string{"example.com"}, VPC: id}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(dig(r.want(200, "GET", "/v2/projects", nil), "projects").([]any)); n != 3 {
		t.Error(n, "projects, want the default one and two")
	}
	r.want(200, "GET", "/v2/projects/"+id, nil)
	if n := len(dig(r.want(200, "GET", "/v2/domains", nil), "domains").([]any)); n != 1 {
		t.Error(n, "domains")
	}
	if got := dig(r.want(200, "GET", "/v2/vpcs/"+id, nil), "vpc", "region"); got != "fra1" {
		t.Error("the VPC is in", got)
	}
}
