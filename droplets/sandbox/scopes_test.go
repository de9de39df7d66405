package sandbox_test

import (
	"testing"

	"cattle/droplets/sandbox"
)

// TestScopes: a token that is limited can do what its scopes name and nothing
// else, and the account's own token everything.
func TestScopes(t *testing.T) {
	r := newRig(t, sandbox.Options{Token: "all", Tokens: map[string][]string{
		"moves": {"reserved_ip:update"}, "half": {"sizes:read"}, "sizes": {"regions:read", "sizes:read"}, "either": {"domain:update"}, "none": {}}})
	r.token = "all"
	id := r.create(nil)
	ip := dig(r.want(202, "POST", "/v2/reserved_ips", map[string]any{"region": "nyc3"}), "reserved_ip", "ip").(string)
	r.want(201, "POST", "/v2/domains", map[string]any{"name": "example.com"})
	move := "/v2/reserved_ips/" + ip + "/actions"
	record := map[string]any{"type": "A", "name": "www", "data": "192.0.2.1"}
	for _, c := range []struct {
		token, method, path string
		body                any
		status              int
	}{
		{"moves", "GET", "/v2/reserved_ips/" + ip, nil, 403},
		{"moves", "DELETE", "/v2/reserved_ips/" + ip, nil, 403},
		{"moves", "GET", "/v2/droplets", nil, 403},
		{"moves", "GET", "/v2/account", nil, 403},
		{"moves", "POST", move, map[string]any{"type": "assign", "droplet_id": id}, 201},
		{"none", "POST", move, map[string]any{"type": "assign", "droplet_id": id}, 403},
		{"half", "GET", "/v2/sizes", nil, 403},
		{"sizes", "GET", "/v2/sizes", nil, 200},
		{"either", "POST", "/v2/domains/example.com/records", record, 201},
		{"none", "GET", "/v2/nothing/of/the/kind", nil, 404},
		{"unknown", "GET", "/v2/sizes", nil, 401},
		{"all", "GET", "/v2/account", nil, 200},
	} {
		r.token = c.token
		v := r.want(c.status, c.method, c.path, c.body)
		if c.status == 403 && (v["id"] != "forbidden" || v["message"] != "You do not have access for the attempted action.") {
			t.Errorf("%+v: %v", c, v)
		}
	}
}
