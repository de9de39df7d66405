package main

import (
	"github.com/urfave/cli/v2"

	"cattle/cloudinit"
	"cattle/droplets/release"
	"cattle/droplets/release/probe"
	"cattle/profiles"
	"cattle/secrets"
)

func fileFlag() cli.Flag {
	return &cli.StringFlag{Name: "file", Aliases: []string{"f"}, Value: "cattle.yaml", EnvVars: []string{"CATTLE_FILE"}, Usage: "the `FILE` with the profile"}
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, one object a line"}
}

// loadProfile reads the profile for a command that makes a release of it, and
// prints its warnings. Faults are the error, warnings among them.
func loadProfile(std stdio, path string, asJSON bool) (*profiles.Profile, error) {
	p, faults := profiles.Load(path, profiles.Options{SecretNames: secrets.Names})
	if err := faults.Err(); err != nil {
		return nil, err
	}
	std.crier.reads(p)
	return p, printFaults(std, faults, asJSON)
}

// loadQuietly reads the profile without its warnings: they were told when it
// was released.
func loadQuietly(path string) (*profiles.Profile, error) {
	p, faults := profiles.Load(path, profiles.Options{SecretNames: secrets.Names})
	return p, faults.Err()
}

// loadSite is loadQuietly for a command that only asks whose site it is.
func loadSite(path string) (*profiles.Profile, error) {
	p, faults := profiles.Load(path, profiles.Options{SecretNames: secrets.Names, SiteOnly: true})
	return p, faults.Err()
}

// printFaults prints diagnostics for the reader or, as NDJSON, for a program.
func printFaults(std stdio, faults profiles.Diagnostics, asJSON bool) error {
	if !asJSON {
		return faults.Print(std.raw.err, colours(std))
	}
	for _, f := range faults {
		line := struct {
			Type string `json:"message_type"`
			profiles.Diagnostic
		}{"diagnostic", f}
		if err := writeJSON(std.out, line); err != nil {
			return err
		}
	}
	return nil
}

// colours tells whether the reader can see them, and wants them: see
// https://no-color.org and https://bixense.com/clicolors.
func colours(std stdio) bool {
	switch force := std.env("CLICOLOR_FORCE"); {
	case std.env("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return std.errTTY && std.env("TERM") != "dumb" && std.env("CLICOLOR") != "0"
}

// siteOf is what the release protocol has to know of the profile. services are
// the compose services that have to run; only a release asks for them.
func siteOf(p *profiles.Profile, services []string) release.Site {
	h := p.Health
	// What may be wrong with either, rendering tells; until then no snapshot fits.
	sops, _ := sopsFromEnv()
	packages, _ := cloudinit.PackagesDigest(p, sops)
	return release.Site{
		Packages: packages, BakedWithin: p.Droplet.BakedWithin,
		App: p.App, Domains: p.Domains, ReservedIP: p.ReservedIP,
		Region: p.Droplet.Region, Size: p.Droplet.Size, Image: p.Droplet.Image, VPC: p.Droplet.VPC,
		SSHKeys: p.Droplet.SSHKeys, Monitoring: p.Droplet.Monitoring, IPv6: p.Droplet.IPv6, Tags: p.Droplet.Tags,
		DNS: p.DNS != "", Project: p.Project, Firewall: p.Firewall.Cloud, SSHFrom: p.Firewall.SSHFrom,
		Services: services,
		Health: probe.Health{Path: h.Path, Status: h.Status, Body: h.Body, Interval: h.Interval,
			Timeout: h.Timeout, Successes: h.Successes, Deadline: h.Deadline},
		BootWithin: p.Release.BootWithin, Watch: p.Release.Bake, Keep: p.Release.Keep, StandbyFor: p.Release.StandbyFor,
		Cutover:   release.Cutover{Failed: p.Release.Cutover.Failed, Gap: p.Release.Cutover.Gap},
		Guard:     p.Release.Guard,
		Mail:      p.Mail != nil,
		Hooks:     hooksOf(p.Hooks),
		Untrusted: p.TLS.Staging,
		State:     len(p.State) > 0, MaxFreeze: p.Release.MaxFreeze, Migrates: p.Release.Migrate != nil, Backups: p.Backup != nil,
		Limited: p.TLS.LetsEncrypt(),
		Volumes: volumesOf(p), VolumesAlone: len(p.State) > 0 && len(volumesOf(p)) == len(p.State),
	}
}

// volumesOf are the volumes of block storage that go along.
func volumesOf(p *profiles.Profile) (out []release.VolumeSpec) {
	for _, s := range p.State {
		if v := s.Volume; v != nil {
			out = append(out, release.VolumeSpec{Name: v.Name, SizeGiB: v.Size})
		}
	}
	return out
}
