package sandbox

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Furniture is what a profile takes for granted in an account: things with
// names that the API alone gives, so that no call can ask for them.
type Furniture struct {
	Region     string
	ReservedIP string // an address of the account in Region, which points at nothing; "" for none
	VPC        string // the id of a VPC in Region; "" for none
	// Project is the name or the id of one, "" for none; Domains are zones.
	Project string
	Domains []string
}

// Furnish puts things into the account, for a rehearsal of a profile that
// names them. What is there already stays.
func (c *Cloud) Furnish(f Furniture) error {
	now := c.lock()
	defer c.unlock()
	if r := c.shelf.region(f.Region); r == nil {
		return fmt.Errorf("no such region: %s", f.Region)
	}
	if _, err := netip.ParseAddr(f.ReservedIP); f.ReservedIP != "" && err != nil {
		return err
	}
	if f.ReservedIP != "" && c.reserved(f.ReservedIP) == nil {
		c.furnishIP(f, now)
	}
	if f.VPC != "" {
		if c.state.VPCs == nil {
			c.state.VPCs = map[string]string{}
		}
		c.state.VPCs[f.VPC] = f.Region
	}
	c.furnishProject(f.Project, now)
	for _, name := range f.Domains {
		if c.domain(name) == nil {
			c.makeDomain(name)
		}
	}
	c.touch()
	return nil
}

func (c *Cloud) furnishProject(name string, now time.Time) {
	known := func(p *project) bool { return p.Name == name || strings.EqualFold(p.ID, name) }
	if name == "" || slices.ContainsFunc(c.projects(), known) {
		return
	}
	p := &project{ID: c.state.uuid(), Name: name, Purpose: "Website or blog", Environment: "Production", CreatedAt: now}
	if len(name) == len(p.ID) && strings.Count(name, "-") == strings.Count(p.ID, "-") {
		p.ID = name
	}
	c.state.Groups = append(c.state.Groups, p)
}

func (c *Cloud) furnishIP(f Furniture, now time.Time) {
	c.state.Reserved = append(c.state.Reserved, &reservedIP{IP: f.ReservedIP, Number: c.state.id(), Region: f.Region, Made: now})
}

// UserData is what a droplet was created with, for machines that are not told
// by the metadata service; nil without such a droplet.
func (c *Cloud) UserData(id int) []byte {
	c.lock()
	defer c.unlock()
	if d := c.droplet(id); d != nil {
		return []byte(d.UserData)
	}
	return nil
}

// AuthorizedKeys are the public keys that let a client log in to a droplet as root.
func (c *Cloud) AuthorizedKeys(id int) []string {
	c.lock()
	defer c.unlock()
	if d := c.droplet(id); d != nil {
		return d.Authorized
	}
	return nil
}

// Keys are the names of the account's SSH keys.
func (c *Cloud) Keys() []string {
	c.lock()
	defer c.unlock()
	names := []string{}
	for _, k := range c.state.Keys {
		names = append(names, k.Name)
	}
	return names
}
