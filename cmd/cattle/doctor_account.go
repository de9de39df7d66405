package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

// What doctor finds in the account, and on this computer.

// maxSkew is how far the clock may be off: leases and certificates are a
// matter of minutes.
const maxSkew = 30 * time.Second

func (p *patient) account(ctx context.Context) finding {
	a, err := p.cloud.Account(ctx)
	switch {
	case err != nil:
		return failed("token", err)
	case a.Status != "active":
		return stops("token", "accepted, and the account is "+a.Status, "read what DigitalOcean says at https://cloud.digitalocean.com")
	}
	return fine("token", "accepted; the account is active")
}

// quota wants room for the fresh droplet of a release.
func (p *patient) quota(ctx context.Context) finding {
	a, err := p.cloud.Account(ctx)
	if err != nil {
		return failed("limits", err)
	}
	n, err := p.cloud.CountDroplets(ctx)
	if err != nil {
		return failed("limits", err)
	}
	ips, err := p.cloud.ReservedIPs(ctx)
	if err != nil {
		return failed("limits", err)
	}
	f := fine("limits", "%d of %d droplets, %d of %d reserved IPs", n, a.DropletLimit, len(ips), a.ReservedIPLimit)
	if n >= a.DropletLimit {
		f.Stops, f.Cure = true, "a release needs a spare droplet: cattle gc, or ask for more at https://cloud.digitalocean.com/account/team/droplet_limit_increase"
	}
	return f
}

// clock compares this computer's with the API's, which dates all its answers.
func (p *patient) clock(ctx context.Context) finding {
	url := p.std.env("DIGITALOCEAN_API_URL")
	if url == "" {
		url = "https://api.digitalocean.com"
	}
	// Without a token: the date is on the refusal too.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/v2/account", nil)
	if err != nil {
		return failed("clock", err)
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return failed("clock", err)
	}
	resp.Body.Close()
	said, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return failed("clock", err)
	}
	// The header has whole seconds, and is of some moment of the call.
	skew := max(time.Until(said), start.Sub(said.Add(time.Second)), 0)
	if skew > maxSkew {
		return stops("clock", fmt.Sprintf("%s off the API's", skew.Round(time.Second)), "set it: timedatectl set-ntp true")
	}
	return fine("clock", "within %s of the API's", maxSkew)
}

// key wants one at hand that the account puts on droplets.
func (p *patient) key(ctx context.Context) finding {
	l, err := login(p.std)
	var use *usageError
	switch {
	case errors.As(err, &use):
		return stops("ssh key", use.msg, use.hint)
	case err != nil:
		return failed("ssh key", err)
	}
	defer l.Close()
	keys, err := p.cloud.SSHKeys(ctx)
	if err != nil {
		return failed("ssh key", err)
	}
	for _, k := range keys {
		if slices.Contains(l.Fingerprints(), k.Fingerprint) {
			return fine("ssh key", "at hand, and in the account as %s", k.Name)
		}
	}
	return stops("ssh key", "no key at hand is in the account", "doctl compute ssh-key import cattle --public-key-file ~/.ssh/id_ed25519.pub")
}

func (p *patient) size(ctx context.Context) finding {
	sizes, err := p.cloud.Sizes(ctx)
	if err != nil {
		return failed("size", err)
	}
	for _, s := range sizes {
		if s.Slug == p.where.Size && s.Available && slices.Contains(s.Regions, p.where.Region) {
			return fine("size", "%s is on offer in %s for $%.2f a month", s.Slug, p.where.Region, s.PriceMonthly)
		}
	}
	return stops("size", p.where.Size+" is not on offer in "+p.where.Region, "doctl compute size list, and set droplet.size")
}

func (p *patient) image(ctx context.Context) finding {
	i, err := p.cloud.Image(ctx, p.where.Image)
	switch {
	case droplets.NotFound(err):
		return stops("image", "there is no image "+p.where.Image, "doctl compute image list-distribution, and set droplet.image")
	case err != nil:
		return failed("image", err)
	case i.Status != "available" || !slices.Contains(i.Regions, p.where.Region):
		return stops("image", p.where.Image+" is not on offer in "+p.where.Region, "doctl compute image list-distribution, and set droplet.image")
	}
	return fine("image", "%s is on offer", p.where.Image)
}

// scopes tries all reads of a release. Writes cannot be tried without writing.
func (p *patient) scopes(ctx context.Context) []finding {
	app := "cattle"
	if p.profile != nil {
		app = p.profile.App
	}
	tag := droplets.AppTag(app)
	reads := []struct {
		scope string
		read  func() error
	}{
		{"droplet:read", func() error { _, err := p.cloud.Droplets(ctx, tag); return err }},
		{"reserved_ip:read", func() error { _, err := p.cloud.ReservedIPs(ctx); return err }},
		{"image:read", func() error { _, err := p.cloud.Image(ctx, p.where.Image); return err }},
		{"sizes:read and regions:read", func() error { _, err := p.cloud.Sizes(ctx); return err }},
		{"ssh_key:read", func() error { _, err := p.cloud.SSHKeys(ctx); return err }},
	}
	var lacks []string
	for _, r := range reads {
		if droplets.StatusOf(r.read()) == http.StatusForbidden {
			lacks = append(lacks, r.scope)
		}
	}
	if len(lacks) > 0 {
		return []finding{stops("scopes", "the token lacks "+strings.Join(lacks, ", "), "add what it lacks at https://cloud.digitalocean.com/account/api/tokens; the README lists all scopes")}
	}
	return []finding{fine("scopes", "it may read what a release reads; what it may write cannot be tried: the README lists the scopes")}
}
