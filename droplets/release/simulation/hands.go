package simulation

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// hand is the agent of everything that somebody does in the console.
const hand = "hand"

// aboutTheSite are the calls between which it matters what somebody does: not
// those that read the catalogue, which a survey makes beside others.
func aboutTheSite(p Point) bool {
	return writes(p) || p.Route == "/v2/droplets" || strings.HasPrefix(p.Route, "/v2/reserved_ips")
}

// hands are all that somebody else does to the site at a point.
func hands() []trouble {
	acts := []struct {
		name string
		do   func(*Bench)
	}{
		{"live deleted", func(b *Bench) { b.delete(idOf(b.Holder())) }},
		{"live off", func(b *Bench) { b.power(idOf(b.Holder()), "power_off") }},
		{"standby deleted", func(b *Bench) { b.delete(b.standby()) }},
		{"standby off", func(b *Bench) { b.power(b.standby(), "power_off") }},
		{"candidate deleted", func(b *Bench) { b.delete(b.candidate()) }},
		{"candidate off", func(b *Bench) { b.power(b.candidate(), "power_off") }},
		{"address to the standby", func(b *Bench) { b.assign(b.standby()) }},
		{"address to somebody else's", func(b *Bench) { b.assign(b.foreignDroplet()) }},
		{"address to nothing", func(b *Bench) { b.assign(0) }},
		{"address deleted", (*Bench).deleteAddress},
		{"live's birth taken off", func(b *Bench) { b.untag(b.Holder(), "cattle:release:") }},
		{"live's app taken off", func(b *Bench) { b.untag(b.Holder(), "cattle:app:") }},
		{"served taken off", func(b *Bench) { b.untag(b.Holder(), droplets.ServedTag) }},
		{"quota used up", (*Bench).fill},
	}
	var all []trouble
	for _, one := range acts {
		all = append(all, trouble{name: one.name, traits: traits{hand: true}, fits: aboutTheSite, fault: func(b *Bench, a *actor) sandbox.Fault {
			return sandbox.Fault{Strike: func() {
				b.mark(hand, "%s", one.name)
				one.do(b)
			}}
		}})
	}
	return all
}

func idOf(d *sandbox.Machine) int {
	if d == nil {
		return 0
	}
	return d.ID
}

// candidate is the newest droplet of the site that never served; 0 for none.
func (b *Bench) candidate() int {
	s, id := b.Cloud.Snapshot(), 0
	for _, d := range s.Droplets {
		if !foreign(d) && !slices.Contains(d.Tags, droplets.ServedTag) {
			id = max(id, d.ID)
		}
	}
	return id
}

func (b *Bench) foreignDroplet() int {
	for _, d := range b.Cloud.Snapshot().Droplets {
		if foreign(d) {
			return d.ID
		}
	}
	return 0
}

// What a hand wants may be refused: that is the end of it.

func (b *Bench) delete(id int) {
	if id != 0 {
		b.try(http.MethodDelete, fmt.Sprintf("/v2/droplets/%d", id), nil)
	}
}

func (b *Bench) power(id int, how string) {
	if id != 0 {
		b.try(http.MethodPost, fmt.Sprintf("/v2/droplets/%d/actions", id), fmt.Appendf(nil, `{"type":%q}`, how))
	}
}

func (b *Bench) assign(id int) {
	order := `{"type":"unassign"}`
	if id != 0 {
		order = fmt.Sprintf(`{"type":"assign","droplet_id":%d}`, id)
	}
	for _, ip := range b.addresses(b.Cloud.Snapshot()) {
		b.try(http.MethodPost, "/v2/reserved_ips/"+ip.IP+"/actions", []byte(order))
	}
}

func (b *Bench) deleteAddress() {
	for _, ip := range b.addresses(b.Cloud.Snapshot()) {
		b.try(http.MethodDelete, "/v2/reserved_ips/"+ip.IP, nil)
	}
}

// untag takes the tags of a prefix off one droplet.
func (b *Bench) untag(d *sandbox.Machine, prefix string) {
	if d == nil {
		return
	}
	for _, t := range d.Tags {
		if strings.HasPrefix(t, prefix) {
			b.try(http.MethodDelete, "/v2/tags/"+t+"/resources", fmt.Appendf(nil, `{"resources":[{"resource_id":"%d","resource_type":"droplet"}]}`, d.ID))
		}
	}
}

// fill orders droplets until the account takes no more.
func (b *Bench) fill() {
	for i := 0; i < 30; i++ {
		if status, _ := b.try(http.MethodPost, "/v2/droplets", []byte(`{"name":"`+foreignName+`","region":"fra1","size":"s-1vcpu-1gb","image":"debian-13-x64"}`)); status >= 300 {
			return
		}
	}
}
