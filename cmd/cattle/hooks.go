package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"

	"cattle/cmd/cattle/hook"
	"cattle/droplets/release"
	"cattle/profiles"
)

// hookOutcome is what a hook is told of how it ended; empty before the switch.
type hookOutcome struct {
	release.Facts
	Outcome string `json:"outcome"` // released, refused, failed, or "" while it is open
	Status  int    `json:"exit_status"`
	Reason  string `json:"reason"`
}

func hooksOf(h profiles.Hooks) release.Hooks {
	return release.Hooks{BeforeSwitch: h.BeforeSwitch, AfterRelease: h.AfterRelease, OnFailure: h.OnFailure, Deadline: h.Deadline}
}

// hooksIn runs hooks in the profile's folder. ctx is the whole command's: that
// it was interrupted is part of the outcome.
func hooksIn(ctx context.Context, dir string) func(context.Context, release.Hook) error {
	return func(within context.Context, h release.Hook) error {
		told := outcomeFor(ctx, h)
		facts, err := json.Marshal(told)
		if err != nil {
			return err
		}
		c := hook.Command{Words: h.Command, Dir: dir, Env: append(withoutSecrets(os.Environ()), told.environment()...), Stdin: append(facts, '\n'), Within: h.Deadline}
		return c.Run(within, h.Tell)
	}
}

func outcomeFor(ctx context.Context, h release.Hook) hookOutcome {
	out := hookOutcome{Facts: h.Facts}
	var refused *release.Refused
	var broken *release.Broken
	var failures []failure
	switch out.Status, failures = endOf(ctx, h.Err); {
	case h.Name == release.BeforeSwitch:
		return out
	case h.Name == release.AfterRelease:
		out.Outcome = "released"
	case errors.As(h.Err, &refused) && !errors.As(h.Err, &broken):
		out.Outcome = "refused"
	default:
		out.Outcome = "failed"
	}
	var why []string
	for _, f := range failures {
		why = append(why, flat(f.Msg))
	}
	out.Reason = strings.Join(why, "; ")
	return out
}

// environment is the same as variables.
func (o hookOutcome) environment() []string {
	droplet, status := "", ""
	if o.Droplet != 0 {
		droplet = strconv.Itoa(o.Droplet)
	}
	if o.Outcome != "" {
		status = strconv.Itoa(o.Status)
	}
	return []string{"CATTLE_APP=" + o.App, "CATTLE_VERB=" + o.Verb, "CATTLE_RELEASE=" + o.Release, "CATTLE_PREVIOUS=" + o.Previous,
		"CATTLE_ATTEMPT=" + o.Attempt, "CATTLE_DROPLET=" + droplet, "CATTLE_ADDRESS=" + o.Address, "CATTLE_IP=" + o.IP,
		"CATTLE_OUTCOME=" + o.Outcome, "CATTLE_EXIT_STATUS=" + status, "CATTLE_REASON=" + o.Reason}
}

// withoutSecrets is the environment without what cattle reads from it: tokens
// and keys are not a hook's business, nor that of what it starts.
func withoutSecrets(env []string) (out []string) {
	for _, v := range env {
		if strings.HasPrefix(v, rehearsalVar+"=") || !strings.HasPrefix(v, "CATTLE_") && !strings.HasPrefix(v, "DIGITALOCEAN_") && !strings.HasPrefix(v, "SOPS_") && !strings.HasPrefix(v, "NTFY_TOKEN=") {
			out = append(out, v)
		}
	}
	return out
}
