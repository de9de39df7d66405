package main

import (
	"context"
	"strings"

	"cattle/droplets/release"
	"cattle/profiles"
	"cattle/secrets"
)

// guardOf gives the operator the token of the guard, where the release is to
// have one, and returns a function that has the API look at that token.
func guardOf(std stdio, o *release.Operator, p *profiles.Profile, opts releaseOptions) (try func(context.Context, *release.World) error, err error) {
	if !p.Release.Guard || opts.dryRun || opts.noHandoff {
		return func(context.Context, *release.World) error { return nil }, nil
	}
	token := strings.TrimSpace(std.env("CATTLE_GUARD_TOKEN"))
	hint := "make one with the scope reserved_ip:update alone at https://cloud.digitalocean.com/account/api/tokens and export CATTLE_GUARD_TOKEN=…"
	switch token {
	case "":
		return nil, &usageError{"release.guard: the guard has no API token", hint}
	case apiToken(std):
		return nil, &usageError{"CATTLE_GUARD_TOKEN is the operator's own token, which may do more than a droplet should", hint}
	}
	cloud, err := openCloud(std, "CATTLE_GUARD_TOKEN", token)
	o.GuardToken = secrets.NewString(token)
	return func(ctx context.Context, w *release.World) error { return release.TryGuard(ctx, cloud, w) }, err
}
