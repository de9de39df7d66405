package sandbox

import "net/http"

// routes is a mux of the whole API. What is not in it answers 404.
func (c *Cloud) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, f := range c.handlers() {
		mux.HandleFunc(pattern, c.handle(f))
	}
	return mux
}

func (c *Cloud) handlers() map[string]func(*call) reply {
	return map[string]func(*call) reply{
		"GET /v2/account": c.getAccount,

		"GET /v2/account/keys":          c.getKeys,
		"POST /v2/account/keys":         c.postKeys,
		"GET /v2/account/keys/{key}":    c.getKey,
		"PUT /v2/account/keys/{key}":    c.putKey,
		"DELETE /v2/account/keys/{key}": c.deleteKey,

		"GET /v2/actions":      c.getActions,
		"GET /v2/actions/{id}": c.getAction,

		"GET /v2/droplets":                       c.getDroplets,
		"POST /v2/droplets":                      c.postDroplets,
		"DELETE /v2/droplets":                    c.deleteTagged,
		"GET /v2/droplets/{id}":                  c.getDroplet,
		"DELETE /v2/droplets/{id}":               c.deleteDroplet,
		"POST /v2/droplets/actions":              c.postTaggedActions,
		"GET /v2/droplets/{id}/actions":          c.getDropletActions,
		"POST /v2/droplets/{id}/actions":         c.postDropletAction,
		"GET /v2/droplets/{id}/actions/{action}": c.getDropletAction,
		"GET /v2/droplets/{id}/snapshots":        c.getDropletSnapshots,
		"GET /v2/droplets/{id}/backups":          c.getNone("backups"),
		"GET /v2/droplets/{id}/kernels":          c.getNone("kernels"),
		"GET /v2/droplets/{id}/neighbors":        c.getNeighbors,
		"GET /v2/droplets/{id}/firewalls":        c.getDropletFirewalls,

		"GET /v2/reserved_ips":                       c.getReservedIPs,
		"POST /v2/reserved_ips":                      c.postReservedIPs,
		"GET /v2/reserved_ips/{ip}":                  c.getReservedIP,
		"DELETE /v2/reserved_ips/{ip}":               c.deleteReservedIP,
		"GET /v2/reserved_ips/{ip}/actions":          c.getReservedActions,
		"POST /v2/reserved_ips/{ip}/actions":         c.postReservedAction,
		"GET /v2/reserved_ips/{ip}/actions/{action}": c.getReservedAction,

		// The older name of the same, which most clients still use.
		"GET /v2/floating_ips":                       c.getReservedIPs,
		"POST /v2/floating_ips":                      c.postReservedIPs,
		"GET /v2/floating_ips/{ip}":                  c.getReservedIP,
		"DELETE /v2/floating_ips/{ip}":               c.deleteReservedIP,
		"GET /v2/floating_ips/{ip}/actions":          c.getReservedActions,
		"POST /v2/floating_ips/{ip}/actions":         c.postReservedAction,
		"GET /v2/floating_ips/{ip}/actions/{action}": c.getReservedAction,

		"GET /v2/tags":                    c.getTags,
		"POST /v2/tags":                   c.postTags,
		"GET /v2/tags/{tag}":              c.getTag,
		"DELETE /v2/tags/{tag}":           c.deleteTag,
		"POST /v2/tags/{tag}/resources":   c.tagResources,
		"DELETE /v2/tags/{tag}/resources": c.tagResources,

		"GET /v2/sizes":          c.getSizes,
		"GET /v2/regions":        c.getRegions,
		"GET /v2/images":         c.getImages,
		"GET /v2/images/{id}":    c.getImage,
		"PUT /v2/images/{id}":    c.putImage,
		"DELETE /v2/images/{id}": c.deleteImage,

		"GET /v2/snapshots":         c.getSnapshots,
		"GET /v2/snapshots/{id}":    c.getSnapshot,
		"DELETE /v2/snapshots/{id}": c.deleteImage,

		"GET /v2/firewalls":                  c.getFirewalls,
		"POST /v2/firewalls":                 c.postFirewalls,
		"GET /v2/firewalls/{id}":             c.getFirewall,
		"PUT /v2/firewalls/{id}":             c.putFirewall,
		"DELETE /v2/firewalls/{id}":          c.deleteFirewall,
		"POST /v2/firewalls/{id}/droplets":   c.firewallMembers,
		"DELETE /v2/firewalls/{id}/droplets": c.firewallMembers,
		"POST /v2/firewalls/{id}/tags":       c.firewallMembers,
		"DELETE /v2/firewalls/{id}/tags":     c.firewallMembers,
		"POST /v2/firewalls/{id}/rules":      c.firewallRules,
		"DELETE /v2/firewalls/{id}/rules":    c.firewallRules,

		"GET /v2/domains":                              c.getDomains,
		"POST /v2/domains":                             c.postDomains,
		"GET /v2/domains/{domain}":                     c.getDomain,
		"DELETE /v2/domains/{domain}":                  c.deleteDomain,
		"GET /v2/domains/{domain}/records":             c.getRecords,
		"POST /v2/domains/{domain}/records":            c.postRecords,
		"GET /v2/domains/{domain}/records/{record}":    c.getRecord,
		"PUT /v2/domains/{domain}/records/{record}":    c.putRecord,
		"PATCH /v2/domains/{domain}/records/{record}":  c.putRecord,
		"DELETE /v2/domains/{domain}/records/{record}": c.deleteRecord,

		"GET /v2/projects":                 c.getProjects,
		"POST /v2/projects":                c.postProjects,
		"GET /v2/projects/{id}":            c.getProject,
		"GET /v2/projects/{id}/resources":  c.getResources,
		"POST /v2/projects/{id}/resources": c.postResources,

		"GET /v2/vpcs":      c.getVPCs,
		"GET /v2/vpcs/{id}": c.getVPC,

		"GET /v2/volumes":                       c.getVolumes,
		"POST /v2/volumes":                      c.postVolumes,
		"DELETE /v2/volumes":                    c.deleteVolumeByName,
		"POST /v2/volumes/actions":              c.postVolumeActionByName,
		"GET /v2/volumes/{id}":                  c.getVolume,
		"DELETE /v2/volumes/{id}":               c.deleteVolume,
		"GET /v2/volumes/{id}/actions":          c.getVolumeActions,
		"POST /v2/volumes/{id}/actions":         c.postVolumeAction,
		"GET /v2/volumes/{id}/actions/{action}": c.getVolumeAction,
	}
}
