package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

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

// askLive has the live droplet tell what it was made of, for the differences,
// and what certificates it knows of, for the plan.
func (ready *prepared) askLive(ctx context.Context, std stdio, o *release.Operator) (asked answered) {
	live, c := ready.world.Live, ready.candidate
	switch {
	case live == nil || c.NoHandoff && !live.Born:
		return asked
	case c.NoHandoff:
		c.Live = ready.lastWords(ctx, std, o)
		return asked
	}
	told, err := liveTells(ctx, std, o, ready.world)
	c.Live = told.Status
	return answered{told.History.Manifest, carriedLast(told.History.Entries), err}
}

// answered is what the live droplet was made of, or why that is not known.
type answered struct {
	manifest *droplets.Manifest
	carried  int64 // bytes of data that it was given last; 0: none, or not known
	err      error
}

// lastWords asks a droplet that is said to be out of reach for the certificates
// that it knows of: it alone has them, and the release leaves them behind.
func (ready *prepared) lastWords(ctx context.Context, std stdio, o *release.Operator) *droplets.MachineStatus {
	if !ready.site.Limited || len(ready.site.Domains) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lastWordsWithin)
	defer cancel()
	var status droplets.MachineStatus
	err := loggedIn(std, o, func(o *release.Operator) (err error) {
		status, err = o.LiveStatus(ctx, ready.world)
		return err
	})
	if err != nil {
		ready.notices = append(ready.notices, "how many certificates were issued this week is not known: "+ready.world.Live.Name+" does not tell; Let's Encrypt issues 5 for a set of names")
		return nil
	}
	return &status
}

// lastWordsWithin bounds the question to a droplet that may never answer.
const lastWordsWithin = 3 * time.Second

// differences holds what is ready against what the live droplet was made of;
// nil, and a notice, where nobody knows that: it is no reason to stop.
func (ready *prepared) differences(asked answered) *difference {
	live := ready.world.Live
	if live == nil || ready.candidate.NoHandoff {
		return nil
	}
	err := asked.err
	if err == nil && asked.manifest == nil {
		err = errors.New(live.Name + " was not told what it was made of")
	}
	if err != nil {
		ready.notices = append(ready.notices, "what changes besides is not shown: "+err.Error())
		return nil
	}
	ready.notices = append(ready.notices, stateChanges(live.Name, asked.manifest.State, ready.candidate.Manifest.State)...)
	ready.carriedLast = asked.carried
	return compare(asked.manifest, ready.candidate.Manifest)
}

// liveTells asks the live droplet, as a plan does for this alone.
func liveTells(ctx context.Context, std stdio, o *release.Operator, w *release.World) (told release.Told, err error) {
	err = loggedIn(std, o, func(o *release.Operator) (err error) {
		told, err = o.AskLive(ctx, w)
		return err
	})
	return told, err
}

// loggedIn gives a login to an operator without one, for as long as it asks.
func loggedIn(std stdio, o *release.Operator, ask func(*release.Operator) error) (err error) {
	reader := *o
	if reader.Login == nil {
		if reader.Login, err = login(std); err != nil {
			return err
		}
		defer reader.Login.Close()
	}
	return ask(&reader)
}
