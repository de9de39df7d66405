package release

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"cattle/droplets"
)

// What is kept of a name: an A record that leads to the site's address, and a
// TXT record beside it, the mark, which says that the A record is the app's to
// change. A name without the mark is somebody's own: what leads elsewhere there
// is a fault, and is never touched.
const (
	markLabel = "_cattle."
	// wildLabel stands for the wildcard in a mark's name: an asterisk means
	// itself alone but at the beginning of a name (RFC 4592).
	wildLabel = "_wildcard."
	// recordTTL is how long the A record may be cached, in seconds. Releases move
	// the address from droplet to droplet and leave the record alone, so it only
	// bounds how long a mistake, or another address, takes to be seen.
	recordTTL = 300
)

// A keeper compares the records of a site's names with what they should be.
type keeper struct {
	app   string
	names []string // that shall lead to the address
	ip    string   // the address; "" while there is none, so that nothing leads to it
	zones []droplets.Zone
	// only are the names to look at; nil: all, and those that were the site's.
	only []string
}

func (w *World) keeper(site Site) keeper {
	return keeper{app: site.App, names: site.Domains, ip: w.Reserved.IP, zones: w.Around.Zones}
}

// leaves tells that a name is not to be looked at.
func (k keeper) leaves(name string) bool { return k.only != nil && !slices.Contains(k.only, name) }

// ahead sorts names into those for which no record says yet where they lead, so
// that what is made for them is all that there is, and those whose records have
// to be changed.
func (k keeper) ahead(names []string) (missing, elsewhere []string) {
	for _, name := range names {
		z := zoneOf(k.zones, name)
		if z == nil {
			continue
		}
		changes, faults := k.compareName(z, name)
		made := !slices.ContainsFunc(changes, func(c recordChange) bool { return c.was.Type != "" })
		switch {
		case len(faults) == 0 && len(changes) == 2 && made: // mark and record
			missing = append(missing, name)
		case len(faults)+len(changes) > 0:
			elsewhere = append(elsewhere, name)
		}
	}
	return missing, elsewhere
}

// A recordChange is one thing to be done with a record.
type recordChange struct {
	zone      string
	was, will droplets.Record // the zero Record: it is made, or deleted
}

func (c recordChange) String() string {
	switch {
	case c.was.Type == "":
		return "make " + leading(c.will)
	case c.will.Type == "":
		return "delete " + leading(c.was)
	}
	return fmt.Sprintf("change %s to %s", leading(c.was), orNewIP(c.will.Data))
}

func leading(r droplets.Record) string {
	r.Data = orNewIP(r.Data)
	return r.String()
}

func orNewIP(data string) string {
	if data == "" {
		return "the new reserved IP"
	}
	return data
}

// command does the same by hand.
func (c recordChange) command() string {
	const doctl = "doctl compute domain records "
	name := strings.TrimSuffix(strings.TrimSuffix(c.will.Name, c.zone), ".")
	if name == "" {
		name = "@"
	}
	name = droplets.Quote(name)
	switch {
	case c.was.Type == "":
		return fmt.Sprintf(doctl+"create %s --record-type %s --record-name %s --record-data %s --record-ttl %d", c.zone, c.will.Type, name, c.will.Data, recordTTL)
	case c.will.Type == "":
		return fmt.Sprintf(doctl+"delete %s %d", c.zone, c.was.ID)
	}
	return fmt.Sprintf(doctl+"update %s --record-id %d --record-type %s --record-data %s", c.zone, c.was.ID, c.will.Type, c.will.Data)
}

// compare finds what has to be done, and what forbids it.
func (k keeper) compare() (changes []recordChange, faults []Fault) {
	var homeless []string
	for _, name := range k.names {
		if k.leaves(name) {
			continue
		}
		z := zoneOf(k.zones, name)
		if z == nil {
			homeless = append(homeless, name)
			continue
		}
		cs, fs := k.compareName(z, name)
		changes, faults = append(changes, cs...), append(faults, fs...)
	}
	return append(changes, k.left()...), append(noZones(homeless), faults...)
}

// compareName compares one name. The mark is made before the record: an
// operator who dies in between leaves nothing that is nobody's.
func (k keeper) compareName(z *droplets.Zone, name string) (changes []recordChange, faults []Fault) {
	mark := droplets.Record{Type: "TXT", Name: markName(name), Data: droplets.AppTag(k.app), TTL: recordTTL}
	marks, address, alias, odd := k.sort(z, mark, name)
	switch {
	case len(odd) > 0:
		for _, r := range odd {
			faults = append(faults, k.conflict(z, r, mark))
		}
		return nil, faults
	case alias:
		return nil, nil
	case len(marks) == 0 && len(address) > 0:
		return nil, nil // somebody wrote the right address himself
	case len(marks) == 0:
		changes = append(changes, recordChange{zone: z.Name, will: mark})
	default:
		changes = twins(z, marks[1:])
	}
	return append(changes, k.one(z, name, address)...), nil
}

// sort tells the records of a name apart: the app's marks, the address
// records that are right or the app's, whether it is an alias of another name
// of the site, and all that is in the way.
func (k keeper) sort(z *droplets.Zone, mark droplets.Record, name string) (marks, address []droplets.Record, alias bool, odd []droplets.Record) {
	for _, r := range z.Records {
		switch {
		case r.Name == mark.Name && r.Type == "TXT" && r.Data == mark.Data:
			marks = append(marks, r)
		case r.Name == mark.Name && r.Type == "TXT" && droplets.IsAppTag(r.Data):
			odd = append(odd, r)
		}
	}
	for _, r := range z.Records {
		switch {
		case r.Name != name || r.Type != "A" && r.Type != "AAAA" && r.Type != "CNAME":
		case r.Type == "A" && (len(marks) > 0 || r.Data == k.ip):
			address = append(address, r)
		case r.Type == "CNAME" && r.Data != name && slices.Contains(k.names, r.Data):
			alias = true
		default:
			odd = append(odd, r)
		}
	}
	return marks, address, alias, odd
}

// one leaves one record of a marked name that leads to the address. A record
// that is right already stays; of twins, which an order without an answer may
// have made, one does.
func (k keeper) one(z *droplets.Zone, name string, address []droplets.Record) []recordChange {
	will := droplets.Record{Type: "A", Name: name, Data: k.ip, TTL: recordTTL}
	if len(address) == 0 {
		return []recordChange{{zone: z.Name, will: will}}
	}
	keep := max(0, slices.IndexFunc(address, func(r droplets.Record) bool { return r.Data == k.ip }))
	var out []recordChange
	if was := address[keep]; was.Data != k.ip {
		will.ID, will.TTL = was.ID, was.TTL
		out = append(out, recordChange{zone: z.Name, was: was, will: will})
	}
	return append(out, twins(z, slices.Concat(address[:keep], address[keep+1:]))...)
}

func twins(z *droplets.Zone, rs []droplets.Record) (out []recordChange) {
	for _, r := range rs {
		out = append(out, recordChange{zone: z.Name, was: r})
	}
	return out
}

// markName is where the mark of a name is.
func markName(name string) string {
	if below, wild := strings.CutPrefix(name, wildcard); wild {
		return markLabel + wildLabel + below
	}
	return markLabel + name
}

// marks is the name that a record marks as the app's; "" for no such mark.
func marks(r droplets.Record, app string) string {
	name, labelled := strings.CutPrefix(r.Name, markLabel)
	if !labelled || r.Type != "TXT" || r.Data != droplets.AppTag(app) {
		return ""
	}
	if below, wild := strings.CutPrefix(name, wildLabel); wild {
		return wildcard + below
	}
	return name
}

// left takes away what was made for names that are the site's no longer. An
// address record of theirs that leads elsewhere by now stays. Without an address
// nobody can tell where one led, so that what is marked stays too.
func (k keeper) left() (out []recordChange) {
	for i, z := range k.zones {
		for _, mark := range z.Records {
			name := marks(mark, k.app)
			if name == "" || slices.Contains(k.names, name) || k.leaves(name) {
				continue
			}
			theirs := filter(z.Records, func(r droplets.Record) bool { return r.Name == name && r.Type == "A" })
			if k.ip == "" && len(theirs) > 0 {
				continue
			}
			led := filter(theirs, func(r droplets.Record) bool { return r.Data == k.ip })
			out = append(out, twins(&k.zones[i], append(led, mark))...)
		}
	}
	return out
}

func filter(rs []droplets.Record, want func(droplets.Record) bool) (out []droplets.Record) {
	for _, r := range rs {
		if want(r) {
			out = append(out, r)
		}
	}
	return out
}

// conflict is a record in the way, and what to type about it.
func (k keeper) conflict(z *droplets.Zone, r, mark droplets.Record) Fault {
	f := Fault{Code: "dns-conflict", Msg: fmt.Sprintf("the record %s leads elsewhere, and is not cattle's to change", r), Hint: recordChange{zone: z.Name, was: r}.command() + " deletes it"}
	switch r.Type {
	case "A":
		f.Hint = "to hand the name over: " + recordChange{zone: z.Name, will: mark}.command()
	case "AAAA":
		f.Msg = fmt.Sprintf("the record %s leads elsewhere: visitors with IPv6 would miss the site, whose address is IPv4", r)
	case "TXT":
		f.Msg = fmt.Sprintf("another site of cattle's has the name: the record %s says so", r)
		f.Hint = "take the name out of one of the two profiles; if that site is gone: " + recordChange{zone: z.Name, was: r}.command()
	}
	return f
}

// noZones are faults about names that no zone holds, one for each zone that would.
func noZones(names []string) (faults []Fault) {
	var zones []string
	held := map[string][]string{}
	for _, name := range names {
		zone, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimPrefix(name, wildcard))
		if err != nil {
			zone = strings.TrimPrefix(name, wildcard)
		}
		if held[zone] == nil {
			zones = append(zones, zone)
		}
		held[zone] = append(held[zone], name)
	}
	for _, zone := range zones {
		faults = append(faults, Fault{Code: "dns-no-zone", Msg: fmt.Sprintf("no domain of the account holds %s, and the profile says dns: digitalocean", strings.Join(held[zone], ", ")),
			Hint: fmt.Sprintf("doctl compute domain create %s, and name DigitalOcean's servers at your registrar; or keep the records yourself, without dns", zone)})
	}
	return faults
}

// zoneOf is the zone with the longest name that holds a name, nil for none.
func zoneOf(zones []droplets.Zone, name string) (best *droplets.Zone) {
	for i, z := range zones {
		if (name == z.Name || strings.HasSuffix(name, "."+z.Name)) && (best == nil || len(z.Name) > len(best.Name)) {
			best = &zones[i]
		}
	}
	return best
}

// zonesFor leaves out zones that have nothing to do with the site.
func zonesFor(site Site, zones []droplets.Zone) (out []droplets.Zone) {
	for i, z := range zones {
		holds := slices.ContainsFunc(site.Domains, func(name string) bool { return zoneOf(zones, name) == &zones[i] })
		marked := slices.ContainsFunc(z.Records, func(r droplets.Record) bool { return marks(r, site.App) != "" })
		if holds || marked {
			out = append(out, z)
		}
	}
	return out
}
