package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"cattle/cloudinit"
	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

// manifestOf is what a droplet will be made of: names, digests and the
// profile's lines, and no value that may be a secret.
func manifestOf(p *profiles.Profile, ready *prepared, secretNames []string) (*droplets.Manifest, error) {
	m := &droplets.Manifest{
		Release: ready.candidate.Release, Profile: p.Lines(), Images: ready.digests(), Packages: sorted(p.Packages),
		Env: slices.Sorted(maps.Keys(p.Env)), Secrets: sorted(secretNames), Domains: p.Domains, DNS: p.DNS, Firewall: openPorts(p.Firewall),
		Size: p.Droplet.Size, Image: p.Droplet.Image, Region: p.Droplet.Region, State: stateOf(p),
	}
	if size := ready.world.Size(m.Size); size != nil {
		m.Monthly = size.PriceMonthly
	}
	var err error
	m.Files, err = fileDigests(p, ready.userData)
	return m, err
}

// digests are what each image is known by: its registry's digest, or, of one
// that was brought, its id.
func (ready *prepared) digests() map[string]string {
	out := map[string]string{}
	maps.Copy(out, ready.pins)
	maps.Copy(out, ready.broughtIDs())
	for _, ref := range ready.unbuilt {
		out[ref] = notBuilt
	}
	return out
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// fileDigests are those of the profile's files, by their path on the droplet,
// and of its compose files, by their path from the profile.
func fileDigests(p *profiles.Profile, made *cloudinit.UserData) (map[string]string, error) {
	out := map[string]string{}
	for _, f := range made.Files() {
		if slices.ContainsFunc(p.Files, func(own profiles.File) bool { return own.Path == f.Path }) {
			out[f.Path] = digestOf(f.Content)
		}
	}
	for _, path := range p.Compose {
		text, err := profiles.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if from, err := filepath.Rel(p.Dir, path); err == nil {
			path = from
		}
		out[path] = digestOf(text)
	}
	return out, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// openPorts says who may reach what.
func openPorts(f profiles.Firewall) []string {
	out := []string{"80, 443 from everyone"}
	for _, from := range f.SSHFrom {
		out = append(out, "22 from "+from)
	}
	if len(f.SSHFrom) == 0 {
		out = append(out, "22 from everyone")
	}
	if f.Cloud {
		out = append(out, "DigitalOcean's firewall too")
	}
	return sorted(out)
}

// differences holds what is ready against what the live droplet was made of;
// nil, and a notice, where nobody knows that: it is no reason to stop.
func (ready *prepared) differences(ctx context.Context, std stdio, o *release.Operator) *difference {
	live := ready.world.Live
	if live == nil || ready.candidate.NoHandoff {
		return nil
	}
	was, err := liveHistory(ctx, std, o, ready.world)
	if err == nil && was.Manifest == nil {
		err = errors.New(live.Name + " was not told what it was made of")
	}
	if err != nil {
		ready.notices = append(ready.notices, "what changes besides is not shown: "+err.Error())
		return nil
	}
	ready.notices = append(ready.notices, stateChanges(live.Name, was.Manifest.State, ready.candidate.Manifest.State)...)
	ready.carriedLast = carriedLast(was.Entries)
	return compare(was.Manifest, ready.candidate.Manifest)
}

// liveHistory logs in to the live droplet, as a plan does for this alone.
func liveHistory(ctx context.Context, std stdio, o *release.Operator, w *release.World) (h droplets.History, err error) {
	reader := *o
	if reader.Login == nil {
		if reader.Login, err = login(std); err != nil {
			return h, err
		}
		defer reader.Login.Close()
	}
	return reader.History(ctx, w)
}
