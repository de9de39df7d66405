package simulation

import (
	"strings"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// The rules of the reserved IP: where it may lead, who may move it, and what
// may not be destroyed beneath it.

// judgeAddress follows each reserved IP of the site from droplet to droplet.
func (b *Bench) judgeAddress(changes []sandbox.Change, lies bool) {
	held := map[string]int{} // the gated droplet that an address leads to
	off := map[int]bool{}    // what a hand has switched off
	moved := map[string]sandbox.Change{}
	for _, ip := range b.addresses(b.Before) {
		held[ip.IP] = ip.Droplet
	}
	for _, c := range changes {
		switch c.What {
		case sandbox.Doomed:
			// Its address was sent there by a hand in between: see couldSee.
			off[c.Droplet] = off[c.Droplet] || !b.couldSee(c, changes)
		case sandbox.Sent:
			b.judgeMove(c)
			b.judgeRival(c, moved[c.IP], lies)
		case sandbox.Moved:
			if held[c.IP] != 0 && !c.Sound && !b.excused(c) && !off[c.Droplet] && !off[held[c.IP]] {
				b.violate(alwaysGated, "%s: %s leads to droplet %d, which is not sound; by %s", c.At.Format("15:04:05"), c.IP, c.Droplet, c.Agent)
			}
			held[c.IP], moved[c.IP] = 0, c
			if c.Sound {
				held[c.IP] = c.Droplet
			}
		case sandbox.Powered, sandbox.Destroyed:
			off[c.Droplet] = off[c.Droplet] && c.What == sandbox.Destroyed || c.Agent == hand && !c.Sound
			for ip, id := range held {
				if id == c.Droplet && id != 0 && !c.Sound {
					if !b.excused(c) && !off[id] {
						b.violate(alwaysGated, "%s: droplet %d, at which %s is, is %s%s; by %s", c.At.Format("15:04:05"), id, ip, c.What, c.Note, c.Agent)
					}
					held[ip] = 0
				}
			}
		case sandbox.Released:
			if held[c.IP] != 0 && !b.excused(c) && !b.undoesFirst(c) {
				b.violate(alwaysGated, "%s: %s is given back; by %s", c.At.Format("15:04:05"), c.IP, c.Agent)
			}
			delete(held, c.IP)
		}
	}
}

// judgeMove wants a move of the address to follow a gate of the same run, or
// to go back to where the address was.
func (b *Bench) judgeMove(c sandbox.Change) {
	r := b.runAt(c)
	if r == nil || r.destroys() || r.gatedBefore(c) || c.Agent == calm {
		return
	}
	if was := b.holder(r.before); was != nil && was.ID == c.Droplet {
		return
	}
	b.violate(alwaysGated, "%s: %s is sent to droplet %d, which %s has not gated", c.At.Format("15:04:05"), c.IP, c.Droplet, c.Agent)
}

// judgeRival wants nobody to switch who could see that somebody else had
// switched since he began, unless that was back to his own.
func (b *Bench) judgeRival(c, last sandbox.Change, lies bool) {
	r := b.runAt(c)
	if r == nil || r.plan == nil || lies || last.Agent == c.Agent || !last.At.After(r.began) {
		return
	}
	if last.Droplet == r.plan.World.Reserved.DropletID || b.orderedBy(last.Droplet) == c.Agent || !b.readAfter(c.Agent, last.At, c.At) {
		return
	}
	b.violate(oneSwitches, "%s: %s sends %s to droplet %d, though %s had sent it to %d", c.At.Format("15:04:05"), c.Agent, c.IP, c.Droplet, last.Agent, last.Droplet)
}

// judgeEnds wants no droplet doomed that holds an address, or is to get one,
// nor one that is not the app's.
func (b *Bench) judgeEnds(changes []sandbox.Change) {
	for _, c := range changes {
		if c.What == sandbox.Doomed && c.Held && !b.excused(c) && !b.undoesFirst(c) && b.couldSee(c, changes) {
			b.violate(neverLive, "%s: %s destroys droplet %d, which holds the reserved IP or is about to", c.At.Format("15:04:05"), c.Agent, c.Droplet)
		}
	}
}

// couldSee tells whether who doomed a droplet had read the reserved IPs after
// a hand had sent one there: no call of the API destroys under a condition.
func (b *Bench) couldSee(c sandbox.Change, changes []sandbox.Change) bool {
	for _, s := range changes {
		if s.What == sandbox.Sent && s.Agent == hand && s.Droplet == c.Droplet && !b.readAfter(c.Agent, s.At, c.At) {
			return false
		}
	}
	return true
}

// birthOf is what the tags say with which a droplet was created.
func birthOf(c sandbox.Change) (droplets.Birth, bool) {
	return droplets.Droplet{Tags: strings.Fields(c.Note)}.Birth()
}

// judgeLock wants no candidate to be switched to while another one came first:
// of those whose lease is not over, the lowest id.
func (b *Bench) judgeLock(changes []sandbox.Change) {
	type candidate struct {
		birth droplets.Birth
		agent string
	}
	there := map[int]candidate{}
	for _, c := range changes {
		switch c.What {
		case sandbox.Created:
			if birth, ok := birthOf(c); ok && !birth.Bake {
				there[c.Droplet] = candidate{birth, c.Agent}
			}
		case sandbox.Doomed, sandbox.Destroyed, sandbox.Moved:
			delete(there, c.Droplet)
		case sandbox.Tagged:
			if c.Note == droplets.ServedTag {
				delete(there, c.Droplet)
			}
		case sandbox.Sent:
			me, ok := there[c.Droplet]
			if !ok {
				continue
			}
			if !me.birth.Lease.After(c.At) {
				b.violate(oneSwitches, "%s: %s switches to droplet %d, whose lease is over", c.At.Format("15:04:05"), c.Agent, c.Droplet)
			}
			for id, other := range there {
				if id < c.Droplet && other.birth.Lease.After(c.At) && other.birth.Attempt != me.birth.Attempt {
					b.violate(oneSwitches, "%s: %s switches to droplet %d, though %d of %s came first", c.At.Format("15:04:05"), c.Agent, c.Droplet, id, other.agent)
				}
			}
		}
	}
}

// judgeLeases wants nobody to destroy a droplet that another one ordered, has
// not switched to yet, and still may: its lease is not over. The calm one, who
// names the attempt once it is known to be dead, may.
func (b *Bench) judgeLeases(changes []sandbox.Change) {
	leased := map[int]droplets.Birth{}
	for _, c := range changes {
		switch c.What {
		case sandbox.Created:
			if birth, ok := birthOf(c); ok {
				leased[c.Droplet] = birth
			}
		case sandbox.Sent:
			delete(leased, c.Droplet)
		case sandbox.Doomed:
			if birth, ok := leased[c.Droplet]; ok && birth.Lease.After(c.At) && c.Agent != calm && b.orderedBy(c.Droplet) != c.Agent && !b.excused(c) {
				b.violate(letsWork, "%s: %s destroys droplet %d, which is leased until %s", c.At.Format("15:04:05"), c.Agent, c.Droplet, birth.Lease.Format("15:04:05"))
			}
		}
	}
}
