package simulation

import (
	"fmt"
	"slices"
	"strings"

	"cattle/droplets/sandbox"
)

// The rules of what is asked of the cloud: whose it is, what it carries, and
// that no order is given twice.

// judgeForeign wants nobody to order anything about what is somebody else's,
// and all of it to be there in the end.
func (b *Bench) judgeForeign(requests []sandbox.Request) {
	var names []string
	for _, d := range b.Before.Droplets {
		if foreign(d) {
			names = append(names, fmt.Sprint(d.ID))
		}
	}
	for _, ip := range b.Before.ReservedIPs {
		if b.foreignIP(b.Before, ip.IP) {
			names = append(names, ip.IP)
		}
	}
	names = append(names, foreignTag)
	for _, r := range requests {
		if r.Method == "GET" || r.Agent == hand {
			continue
		}
		for _, name := range names {
			if strings.Contains(r.Path, "/"+name) || strings.Contains(r.Body, `"`+name+`"`) || strings.Contains(r.Body, ":"+name+",") || strings.Contains(r.Body, ":"+name+"}") {
				b.violate(onlyOurs, "%s %s %s %s", r.Agent, r.Method, r.Path, r.Body)
			}
		}
		if r.Method == "DELETE" && strings.Contains(r.Query, "tag_name") {
			b.violate(onlyOurs, "%s deletes all that carry a tag: %s?%s", r.Agent, r.Path, r.Query)
		}
	}
	now := b.Cloud.Snapshot()
	for _, d := range b.Before.Droplets {
		if foreign(d) && !slices.ContainsFunc(now.Droplets, func(n sandbox.Machine) bool {
			return n.ID == d.ID && n.Status == d.Status && slices.Equal(n.Tags, d.Tags)
		}) {
			b.violate(onlyOurs, "droplet %d, which is somebody else's, is not what it was", d.ID)
		}
	}
}

// judgeTraffic looks for secrets in all that was sent.
func (b *Bench) judgeTraffic(requests []sandbox.Request) {
	for _, r := range requests {
		for _, s := range []string{ageKey, secret, guardToken} {
			if strings.Contains(r.Body+r.Path+r.Query, s) {
				b.violate(noSecret, "%s %s has %s", r.Method, r.Path, s)
			}
		}
	}
}

// judgeOrders wants a droplet to be ordered once, and once more only after the
// first order was looked for and not found, or was refused.
func (b *Bench) judgeOrders(requests []sandbox.Request) {
	open := map[string]bool{} // agents whose order may have been carried out
	for _, r := range requests {
		switch {
		case r.Method == "POST" && r.Path == "/v2/droplets" && r.Agent != hand:
			if open[r.Agent] {
				b.violate(onlyOnce, "%s: %s orders a droplet again without a look at what became of the last order", r.At.Format("15:04:05"), r.Agent)
			}
			open[r.Agent] = r.Status == 0 || r.Status >= 500
		case r.Method == "GET" && r.Path == "/v2/droplets" && r.Status == 200 && strings.Contains(r.Query, "tag_name"):
			open[r.Agent] = false
		}
	}
}
