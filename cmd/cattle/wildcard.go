package main

import (
	"cattle/droplets"
	"cattle/droplets/release"
)

// The certificate of a wildcard is had by whoever has the token: what no droplet
// sees to, the operator is told of.

// howProved is what to do about one.
const howProved = "cattle rebuild obtains one; a droplet cannot, for the token is not there"

// dueFailures are what is wrong with a wildcard's certificate on a site that
// serves; none where the droplet was not asked.
func dueFailures(site release.Site, said *droplets.MachineStatus, w *release.World) []failure {
	if said == nil {
		return nil
	}
	due := site.Due(said.Certificate, w.Now)
	if due == "" {
		return nil
	}
	return []failure{{Code: "certificate-due", Msg: due, Hint: howProved}}
}
