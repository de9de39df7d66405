package main

import (
	"os"

	"cattle/droplets"
	"cattle/droplets/release"
)

// operator opens what a command needs of the world: the API, the way to the
// droplets and, where a command logs in, the operator's SSH key.
func operator(std stdio, withLogin bool) (*release.Operator, error) {
	cloud, err := cloudFromEnv(std)
	if err != nil {
		return nil, err
	}
	o := &release.Operator{Cloud: cloud, Dialer: droplets.DialerFromEnvironment()}
	if withLogin {
		home, _ := os.UserHomeDir()
		if o.Login, err = droplets.NewLogin(std.env("CATTLE_SSH_KEY"), std.env("SSH_AUTH_SOCK"), home); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// cloudFromEnv takes the variables that doctl and the Terraform provider take.
func cloudFromEnv(std stdio) (droplets.Cloud, error) {
	token := std.env("DIGITALOCEAN_ACCESS_TOKEN")
	if token == "" {
		token = std.env("DIGITALOCEAN_TOKEN")
	}
	if token == "" {
		return nil, &usageError{"no API token", "export DIGITALOCEAN_ACCESS_TOKEN=… (from https://cloud.digitalocean.com/account/api/tokens)"}
	}
	return droplets.Open(droplets.Config{Token: token, URL: std.env("DIGITALOCEAN_API_URL"), UserAgent: "cattle/" + version()})
}
