package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"cattle/droplets"
	"cattle/droplets/look"
	"cattle/droplets/release"
	"cattle/droplets/sandbox/nspawn"
	"cattle/secrets"
)

// A cure is what is known of a kind of failure: its section of docs/errors.md,
// and what to type next.
type cure struct{ code, hint string }

// kind gives an error a section of its own.
func kind(code string, err error) error { return &release.Known{Code: code, Err: err} }

// hintFor is what to type next after a failure of the world around us.
func hintFor(err error) string { return cureFor(err).hint }

// cureFor goes from what is particular to what is general: most errors wrap
// others.
func cureFor(err error) cure {
	var known *release.Known
	if errors.As(err, &known) {
		return cure{known.Code, known.Hint}
	}
	for _, look := range []func(error) cure{cureOfSite, cureOfLogin, cureOfState, cureOfDroplet, cureOfAPI} {
		if c := look(err); c != (cure{}) {
			return c
		}
	}
	return cure{}
}

func cureOfSite(err error) cure {
	var silent *notServing
	var missing *nspawn.MissingError
	var holder *release.Holder
	var scope *release.ScopeError
	var stopped *look.NoServiceError
	switch {
	case errors.As(err, &scope):
		return cure{"scope-missing", fmt.Sprintf("add %s to the token at https://cloud.digitalocean.com/account/api/tokens, or take %s out of the profile", scope.Scope, scope.Key)}
	case errors.As(err, &stopped):
		return cure{"service-down", "cattle logs " + stopped.Service + " shows why"}
	case errors.As(err, &missing) && missing.Install == "" && slices.Contains(missing.Missing, "root"):
		return cure{"", "become root: sudo --preserve-env=HOME cattle …"}
	case errors.As(err, &missing):
		return cure{"", missing.Install}
	case errors.As(err, &holder):
		return cure{"ip-moved", "it went live in this moment; cattle gc finishes its release"}
	case errors.As(err, &silent) && silent.proxied():
		return cure{"proxy-down", silent.hint()}
	case errors.As(err, &silent):
		return cure{"not-serving", silent.hint()}
	}
	return cure{}
}

func cureOfLogin(err error) cure {
	var key *secrets.KeyError
	var auth *droplets.AuthError
	var impostor *droplets.HostKeyError
	var silent *droplets.SilentError
	switch {
	case errors.As(err, &key):
		return cure{"secrets-key", "say where your key is: export SOPS_AGE_KEY_FILE=~/.config/sops/age/keys.txt; or have somebody who can open it type cattle secrets recipients add YOUR-PUBLIC-KEY"}
	case errors.Is(err, droplets.ErrNoSSHKey):
		return cure{"no-ssh-key", "ssh-add, or name a key file: export CATTLE_SSH_KEY=~/.ssh/id_ed25519"}
	case errors.As(err, &auth):
		return cure{"ssh-key-refused", "load the key that the profile's droplet.ssh_keys name: ssh-add, or export CATTLE_SSH_KEY=FILE"}
	case errors.As(err, &impostor):
		return cure{"host-key-wrong", "somebody else answers at this address, or the droplet's host key was changed by hand; do not log in; cattle release puts up a fresh one"}
	case errors.As(err, &silent):
		return cure{"ssh-unreachable", "cattle status shows whether the droplet is on; else something on the way keeps port 22 closed: firewall.ssh_from, or this network's own"}
	}
	return cure{}
}

// cureOfDroplet reads what a verb said before it failed.
func cureOfDroplet(err error) cure {
	var verb *droplets.VerbError
	if errors.As(err, &verb) {
		return readTelltale(verb.Reason)
	}
	return cure{}
}

func cureOfAPI(err error) cure {
	var nothing *droplets.NoAnswer
	switch status := droplets.StatusOf(err); {
	case status == http.StatusUnauthorized:
		return cure{"token-refused", "the token is wrong, or its time is over; make one at https://cloud.digitalocean.com/account/api/tokens and export DIGITALOCEAN_ACCESS_TOKEN=…"}
	case status == http.StatusForbidden:
		return cure{"scope-missing", "the token lacks a scope; the README lists the scopes that cattle needs"}
	case status == http.StatusTooManyRequests:
		return cure{"rate-limited", "the account's hourly request limit is used up; try again in some minutes"}
	case status >= http.StatusInternalServerError:
		return cure{"api-down", "try again later; https://status.digitalocean.com tells what is known"}
	case errors.As(err, &nothing):
		return cure{"api-unreachable", "is this computer online? curl https://api.digitalocean.com; and is DIGITALOCEAN_API_URL, if it is set, right?"}
	}
	return cure{}
}
