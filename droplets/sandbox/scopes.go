package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

// scopes is what each route asks of a token, as the API's published
// description has it (security, bearer_auth): all the words of one entry, and
// where there are several entries, those of any one.
func scopes() map[string][]string {
	return map[string][]string{
		"GET /v2/account": {"account:read"},

		"GET /v2/account/keys":          {"ssh_key:read"},
		"POST /v2/account/keys":         {"ssh_key:create"},
		"GET /v2/account/keys/{key}":    {"ssh_key:read"},
		"PUT /v2/account/keys/{key}":    {"ssh_key:update"},
		"DELETE /v2/account/keys/{key}": {"ssh_key:delete"},

		"GET /v2/actions":      {"actions:read"},
		"GET /v2/actions/{id}": {"actions:read"},

		"GET /v2/droplets":                       {"droplet:read"},
		"POST /v2/droplets":                      {"droplet:create"},
		"DELETE /v2/droplets":                    {"droplet:delete"},
		"GET /v2/droplets/{id}":                  {"droplet:read"},
		"DELETE /v2/droplets/{id}":               {"droplet:delete"},
		"POST /v2/droplets/actions":              {"droplet:update"},
		"GET /v2/droplets/{id}/actions":          {"droplet:read"},
		"POST /v2/droplets/{id}/actions":         {"droplet:update"},
		"GET /v2/droplets/{id}/actions/{action}": {"droplet:read"},
		"GET /v2/droplets/{id}/snapshots":        {"droplet:read"},
		"GET /v2/droplets/{id}/backups":          {"droplet:read"},
		"GET /v2/droplets/{id}/kernels":          {"droplet:read"},
		"GET /v2/droplets/{id}/neighbors":        {"droplet:read"},
		"GET /v2/droplets/{id}/firewalls":        {"firewall:read"},

		"GET /v2/reserved_ips":                       {"reserved_ip:read"},
		"POST /v2/reserved_ips":                      {"reserved_ip:create"},
		"GET /v2/reserved_ips/{ip}":                  {"reserved_ip:read"},
		"DELETE /v2/reserved_ips/{ip}":               {"reserved_ip:delete"},
		"GET /v2/reserved_ips/{ip}/actions":          {"reserved_ip:read"},
		"POST /v2/reserved_ips/{ip}/actions":         {"reserved_ip:update"},
		"GET /v2/reserved_ips/{ip}/actions/{action}": {"reserved_ip:read"},
		"GET /v2/floating_ips":                       {"reserved_ip:read"},
		"POST /v2/floating_ips":                      {"reserved_ip:create"},
		"GET /v2/floating_ips/{ip}":                  {"reserved_ip:read"},
		"DELETE /v2/floating_ips/{ip}":               {"reserved_ip:delete"},
		"GET /v2/floating_ips/{ip}/actions":          {"reserved_ip:read"},
		"POST /v2/floating_ips/{ip}/actions":         {"reserved_ip:update"},
		"GET /v2/floating_ips/{ip}/actions/{action}": {"reserved_ip:read"},

		"GET /v2/tags":                    {"tag:read"},
		"POST /v2/tags":                   {"tag:create"},
		"GET /v2/tags/{tag}":              {"tag:read"},
		"DELETE /v2/tags/{tag}":           {"tag:delete"},
		"POST /v2/tags/{tag}/resources":   {"tag:create"},
		"DELETE /v2/tags/{tag}/resources": {"tag:delete"},

		"GET /v2/sizes":          {"sizes:read regions:read"},
		"GET /v2/regions":        {"regions:read"},
		"GET /v2/images":         {"image:read"},
		"GET /v2/images/{id}":    {"image:read"},
		"PUT /v2/images/{id}":    {"image:update"},
		"DELETE /v2/images/{id}": {"image:delete"},

		"GET /v2/snapshots":         {"snapshot:read"},
		"GET /v2/snapshots/{id}":    {"snapshot:read block_storage_snapshot:read"},
		"DELETE /v2/snapshots/{id}": {"image:delete snapshot:delete"},

		"GET /v2/firewalls":                  {"firewall:read"},
		"POST /v2/firewalls":                 {"firewall:create"},
		"GET /v2/firewalls/{id}":             {"firewall:read"},
		"PUT /v2/firewalls/{id}":             {"firewall:update"},
		"DELETE /v2/firewalls/{id}":          {"firewall:delete"},
		"POST /v2/firewalls/{id}/droplets":   {"firewall:update"},
		"DELETE /v2/firewalls/{id}/droplets": {"firewall:update"},
		"POST /v2/firewalls/{id}/rules":      {"firewall:update"},
		"DELETE /v2/firewalls/{id}/rules":    {"firewall:update"},
		"POST /v2/firewalls/{id}/tags":       {"firewall:update"},
		"DELETE /v2/firewalls/{id}/tags":     {"firewall:update"},

		"GET /v2/domains":                              {"domain:read"},
		"POST /v2/domains":                             {"domain:create"},
		"GET /v2/domains/{domain}":                     {"domain:read"},
		"DELETE /v2/domains/{domain}":                  {"domain:delete"},
		"GET /v2/domains/{domain}/records":             {"domain:read"},
		"POST /v2/domains/{domain}/records":            {"domain:create", "domain:update"},
		"GET /v2/domains/{domain}/records/{record}":    {"domain:read"},
		"PUT /v2/domains/{domain}/records/{record}":    {"domain:update"},
		"PATCH /v2/domains/{domain}/records/{record}":  {"domain:update"},
		"DELETE /v2/domains/{domain}/records/{record}": {"domain:delete", "domain:update"},

		"GET /v2/projects":                 {"project:read"},
		"POST /v2/projects":                {"project:create"},
		"GET /v2/projects/{id}":            {"project:read"},
		"GET /v2/projects/{id}/resources":  {"project:read"},
		"POST /v2/projects/{id}/resources": {"project:assign_resource"},

		"GET /v2/vpcs":      {"vpc:read"},
		"GET /v2/vpcs/{id}": {"vpc:read"},

		"GET /v2/volumes":                       {"block_storage:read"},
		"POST /v2/volumes":                      {"block_storage:create"},
		"DELETE /v2/volumes":                    {"block_storage:delete"},
		"POST /v2/volumes/actions":              {"block_storage_action:create"},
		"GET /v2/volumes/{id}":                  {"block_storage:read"},
		"DELETE /v2/volumes/{id}":               {"block_storage:delete"},
		"GET /v2/volumes/{id}/actions":          {"block_storage_action:read"},
		"POST /v2/volumes/{id}/actions":         {"block_storage_action:create"},
		"GET /v2/volumes/{id}/actions/{action}": {"block_storage_action:read"},
	}
}

// may tells whether the call's token has what its route asks for. Only the
// tokens of Options.Tokens are held to anything.
func (c *Cloud) may(q *call) bool {
	return slices.ContainsFunc(c.scopes[q.Pattern], func(all string) bool {
		return !slices.ContainsFunc(strings.Fields(all), func(one string) bool { return !c.holds(q, one) })
	})
}

// holds tells whether the call's token has a scope. What a call gives or takes
// may ask for further ones than its route does, as the description says beside
// the field.
func (c *Cloud) holds(q *call, scope string) bool {
	held, limited := c.opt.Tokens[bearer(q.Request)]
	return !limited || slices.Contains(held, scope)
}

// bearer is the token that a request shows.
func bearer(r *http.Request) string {
	return strings.TrimSpace(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
}
