package release

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

// maxUserData is DigitalOcean's limit on user_data, in bytes.
const maxUserData = 64 << 10

// preflight finds every reason not to begin. It reads nothing: the survey did.
func (w *World) preflight(site Site, c *Candidate) []Fault {
	faults := w.orderFaults(site, c)
	for _, check := range []func(Site) []Fault{w.quotaFaults, w.ipFaults, w.strayFaults, w.rivalFaults, w.GuardFaults, w.AroundFaults, w.projectFaults, w.volumeFaults} {
		faults = append(faults, check(site)...)
	}
	return append(faults, w.stateFaults(site, c)...)
}

// orderFaults are the reasons for which a droplet cannot be ordered.
func (w *World) orderFaults(site Site, c *Candidate) []Fault {
	var faults []Fault
	for _, check := range []func(Site) []Fault{w.accountFaults, w.regionFaults, w.sizeFaults, w.imageFaults, w.keyFaults, w.vpcFaults} {
		faults = append(faults, check(site)...)
	}
	if len(c.UserData) > maxUserData {
		faults = append(faults, Fault{Code: "profile-faults", Input: true, Msg: fmt.Sprintf("user-data has %d bytes, the limit is %d", len(c.UserData), maxUserData), Hint: "cattle check"})
	}
	return faults
}

// SiteFaults are the reasons that lie in what there is already of the site: its
// address, another release, a guard, records, firewall, network and project.
func (w *World) SiteFaults(site Site) []Fault {
	var faults []Fault
	for _, check := range []func(Site) []Fault{w.quotaFaults, w.ipFaults, w.rivalFaults, w.GuardFaults, w.AroundFaults, w.projectFaults, w.vpcFaults, w.volumeFaults} {
		faults = append(faults, check(site)...)
	}
	return faults
}

func (w *World) accountFaults(site Site) []Fault {
	var out []Fault
	if w.Account.Status == "locked" {
		out = append(out, Fault{Code: "account-locked", Msg: "the account is locked", Hint: "see https://cloud.digitalocean.com/account"})
	}
	if w.Account.DropletLimit > 0 && w.InAccount >= w.Account.DropletLimit {
		hint := "ask for a higher limit at https://cloud.digitalocean.com/account/team"
		if len(w.Orphans) > 0 {
			hint = "cattle gc"
		} else if len(w.Standbys) > 0 {
			hint = fmt.Sprintf("cattle gc --standbys makes room by ending the standby %s", w.Standbys[len(w.Standbys)-1].Birth.Release)
		}
		out = append(out, Fault{Code: "droplet-limit", Msg: fmt.Sprintf("no room for one more droplet: the account has %d of %d", w.InAccount, w.Account.DropletLimit), Hint: hint})
	}
	return out
}

func (w *World) quotaFaults(Site) []Fault {
	var out []Fault
	if w.Reserved.IP == "" && w.Account.ReservedIPLimit > 0 && len(w.IPs) >= w.Account.ReservedIPLimit {
		out = append(out, Fault{Code: "reserved-ip-limit", Msg: fmt.Sprintf("no room for one more reserved IP: the account has %d of %d", len(w.IPs), w.Account.ReservedIPLimit),
			Hint: "name one that is free in the profile: reserved_ip: …"})
	}
	return out
}

// regionFaults knows the regions from the sizes: each says where it is offered.
func (w *World) regionFaults(site Site) []Fault {
	var known []string
	for _, s := range w.Sizes {
		known = append(known, s.Regions...)
	}
	slices.Sort(known)
	if slices.Contains(known, site.Region) {
		return nil
	}
	return []Fault{{Code: "region-unknown", Input: true, Msg: "no such region: " + site.Region, Hint: "there are " + strings.Join(slices.Compact(known), ", ")}}
}

func (w *World) sizeFaults(site Site) []Fault {
	size := w.Size(site.Size)
	offered := w.someSizes(site.Region)
	switch {
	case len(offered) == 0:
		return nil // the region is the fault
	case size == nil:
		return []Fault{{Code: "size-unknown", Input: true, Msg: "no such droplet size: " + site.Size, Hint: "the smallest in " + site.Region + ": " + strings.Join(offered, ", ")}}
	case !slices.Contains(size.Regions, site.Region):
		return []Fault{{Code: "size-not-in-region", Input: true, Msg: fmt.Sprintf("size %s is not offered in region %s", site.Size, site.Region),
			Hint: fmt.Sprintf("it is in %s; in %s there are %s", strings.Join(size.Regions, ", "), site.Region, strings.Join(offered, ", "))}}
	case !size.Available:
		return []Fault{{Code: "size-sold-out", Msg: fmt.Sprintf("size %s is sold out for now", site.Size), Hint: "try again later, or take another size: " + strings.Join(offered, ", ")}}
	}
	return nil
}

// someSizes are the five cheapest sizes that the region offers.
func (w *World) someSizes(region string) []string {
	sizes := slices.DeleteFunc(slices.Clone(w.Sizes), func(s droplets.Size) bool {
		return !s.Available || !slices.Contains(s.Regions, region)
	})
	slices.SortStableFunc(sizes, func(a, b droplets.Size) int { return int(100 * (a.PriceMonthly - b.PriceMonthly)) })
	var out []string
	for _, s := range sizes[:min(5, len(sizes))] {
		out = append(out, s.Slug)
	}
	return out
}

func (w *World) imageFaults(site Site) []Fault {
	switch {
	case w.ImageErr != nil:
		return []Fault{{Code: "image-unknown", Input: true, Msg: "no such droplet image: " + site.Image, Hint: "images that cattle renders for: debian-13-x64, ubuntu-24-04-x64"}}
	case w.Image.Status == "retired" || w.Image.Status == "deleted":
		return []Fault{{Code: "image-withdrawn", Input: true, Msg: "droplet image " + site.Image + " was withdrawn", Hint: "droplet: {image: debian-13-x64}"}}
	case len(w.someSizes(site.Region)) == 0: // the region is the fault
	case len(w.Image.Regions) > 0 && !slices.Contains(w.Image.Regions, site.Region):
		return []Fault{{Code: "image-not-in-region", Input: true, Msg: fmt.Sprintf("droplet image %s is not offered in region %s", site.Image, site.Region), Hint: "it is in " + strings.Join(w.Image.Regions, ", ")}}
	}
	return nil
}

func (w *World) keyFaults(site Site) []Fault {
	var out []Fault
	if len(w.Keys) == 0 {
		out = append(out, Fault{Code: "ssh-key-missing", Msg: "the account has no SSH key", Hint: "doctl compute ssh-key import mine --public-key-file ~/.ssh/id_ed25519.pub"})
	}
	for _, want := range site.SSHKeys {
		if w.key(want) == 0 {
			out = append(out, Fault{Code: "ssh-key-missing", Input: true, Msg: "the account has no SSH key " + want, Hint: "it has " + strings.Join(w.keyNames(), ", ")})
		}
	}
	if len(out) == 0 && !w.mayLogIn(site) {
		out = append(out, Fault{Code: "ssh-key-not-yours", Input: true, Msg: "none of the SSH keys on the droplet is yours: you could not log in to it",
			Hint: "load one of " + strings.Join(w.keyNames(), ", ") + ": ssh-add, or export CATTLE_SSH_KEY=FILE"})
	}
	return out
}

// mayLogIn tells whether the operator holds one of the keys that the droplet
// will take. Who only plans has shown no key, and may.
func (w *World) mayLogIn(site Site) bool {
	ids := w.keyIDs(site)
	mine := func(k droplets.SSHKey) bool {
		return slices.Contains(ids, k.ID) && slices.Contains(w.Mine, k.Fingerprint)
	}
	return w.Mine == nil || slices.ContainsFunc(w.Keys, mine)
}

// key is the id of the account's key of that name or fingerprint, or 0.
func (w *World) key(want string) int {
	for _, k := range w.Keys {
		if k.Name == droplets.Line(want) || k.Fingerprint == want {
			return k.ID
		}
	}
	return 0
}

func (w *World) keyNames() []string {
	out := make([]string, len(w.Keys))
	for i, k := range w.Keys {
		out[i] = k.Name
	}
	return out
}

// keyIDs are the keys to put on a droplet: the named ones, or all.
func (w *World) keyIDs(site Site) []int {
	var out []int
	for _, want := range site.SSHKeys {
		out = append(out, w.key(want))
	}
	if len(site.SSHKeys) == 0 {
		for _, k := range w.Keys {
			out = append(out, k.ID)
		}
	}
	return out
}

func (w *World) ipFaults(site Site) []Fault {
	ip := w.Reserved
	switch {
	case ip.IP == "" && len(w.Standbys) > 0:
		return []Fault{{Code: "reserved-ip-lost", Input: true,
			Msg:  fmt.Sprintf("droplet %d of %s was live, but no reserved IP points at a droplet of the app any more", w.Standbys[0].ID, site.App),
			Hint: "say which address is the site's: reserved_ip: …"}}
	case ip.IP != "" && ip.Region != site.Region:
		return []Fault{{Code: "reserved-ip-region", Input: true, Msg: fmt.Sprintf("the reserved IP %s is in region %s, the profile's droplets in %s", ip.IP, ip.Region, site.Region),
			Hint: "droplet: {region: " + ip.Region + "}"}}
	}
	return nil
}

// strayFaults refuses to make a second address for a site that has one: whoever
// holds that is named like a droplet of the app, and has lost the tag that says so.
func (w *World) strayFaults(site Site) (out []Fault) {
	if w.Reserved.IP != "" {
		return nil
	}
	for _, ip := range w.IPs {
		d := ip.Droplet
		b, born := d.Birth()
		if born && d.App() == "" && d.Name == droplets.Name(site.App, b.Release, b.Attempt) {
			out = append(out, Fault{Input: true, Msg: fmt.Sprintf("droplet %d %s holds the reserved IP %s, and looks like %s's, but lacks its tag", d.ID, d.Name, ip.IP, site.App),
				Hint: fmt.Sprintf("put the tag back: doctl compute droplet tag %d --tag-name %s", d.ID, droplets.AppTag(site.App))})
		}
	}
	return out
}

// rivalFaults refuses to begin beside a release that came first: it would lose
// the lock after having paid for a droplet.
func (w *World) rivalFaults(Site) []Fault {
	if len(w.Candidates) == 0 {
		return nil
	}
	first := w.Candidates[len(w.Candidates)-1]
	return []Fault{{Code: "release-under-way", Msg: (&rival{first}).Error(),
		Hint: fmt.Sprintf("wait until it is done; if its operator is gone for good: cattle gc --attempt %s", first.Birth.Attempt)}}
}

// leaseFor is how long a candidate may need until it is live or given up.
func leaseFor(site Site) time.Duration {
	gated := site.BootWithin + handoffWithin + site.Health.Deadline
	if len(site.Hooks.BeforeSwitch) > 0 {
		gated += site.Hooks.Deadline + hookEnds
	}
	if site.Wild() {
		gated += aheadWithin
	}
	if site.State {
		gated += copyWithin + site.MaxFreeze
	}
	if site.Backups {
		gated += backupWithin
	}
	if site.Guard {
		return gated + reachWithin + guardTime(site) + guardPersists
	}
	// The switch counts three times: to wait until nothing is under way, to move,
	// and what has to be left of the lease when that begins.
	return gated + 3*switchWithin + confirmWithin
}
