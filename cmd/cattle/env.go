package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

// operator opens what a command needs of the world: the API, the way to the
// droplets and, where a command logs in, the operator's SSH key.
func operator(std stdio, withLogin bool) (*release.Operator, error) {
	cloud, err := cloudFromEnv(std)
	if err != nil {
		return nil, err
	}
	dialer, err := droplets.DialerFromEnvironment()
	if err != nil {
		return nil, kind("proxy-wrong", &usageError{"ALL_PROXY: " + err.Error(), "export ALL_PROXY=socks5h://127.0.0.1:1080, or unset it"})
	}
	o := &release.Operator{Cloud: cloud, Dialer: dialer}
	if withLogin {
		o.Login, err = login(std)
	}
	return o, err
}

// begin is where every command begins that makes a droplet: the profile, with
// its warnings told, and the world. The caller closes the operator's Login.
func begin(std stdio, file string, asJSON, withLogin bool) (*profiles.Profile, *release.Operator, error) {
	p, err := loadProfile(std, file, asJSON)
	if err != nil {
		return nil, nil, err
	}
	if _, err := sopsFromEnv(); err != nil {
		return nil, nil, err // before anything is asked of the cloud
	}
	o, err := operator(std, withLogin)
	return p, o, err
}

// survey is where every command begins that is about what exists already: the
// profile says whose site it is, the cloud what there is of it.
func survey(ctx context.Context, std stdio, file string, withLogin bool) (*release.Operator, release.Site, *release.World, error) {
	return surveyBy((*release.Operator).Survey, ctx, std, file, withLogin)
}

// surveyAround is survey for commands that change records and firewall too.
func surveyAround(ctx context.Context, std stdio, file string, withLogin bool) (*release.Operator, release.Site, *release.World, error) {
	return surveyBy((*release.Operator).SurveyAround, ctx, std, file, withLogin)
}

type surveyor func(*release.Operator, context.Context, release.Site) (*release.World, error)

func surveyBy(by surveyor, ctx context.Context, std stdio, file string, withLogin bool) (*release.Operator, release.Site, *release.World, error) {
	p, err := loadSite(file)
	if err != nil {
		return nil, release.Site{}, nil, err
	}
	o, err := operator(std, withLogin)
	if err != nil {
		return nil, release.Site{}, nil, err
	}
	site := siteOf(p, nil)
	w, err := by(o, ctx, site)
	return o, site, w, err
}

// login finds the operator's SSH key.
func login(std stdio) (*droplets.Login, error) {
	file := std.env("CATTLE_SSH_KEY")
	home, _ := os.UserHomeDir()
	l, err := droplets.NewLogin(file, std.env("SSH_AUTH_SOCK"), home)
	if err != nil && file != "" {
		return nil, kind("ssh-key-file", &usageError{"CATTLE_SSH_KEY: " + err.Error(),
			"name a private key without a passphrase; one with a passphrase goes into an agent: unset CATTLE_SSH_KEY, and ssh-add"})
	}
	return l, err
}

// apiToken takes the variables that doctl and the Terraform provider take. A
// secret of a CI system often ends in a newline.
func apiToken(std stdio) string {
	token := std.env("DIGITALOCEAN_ACCESS_TOKEN")
	if token == "" {
		token = std.env("DIGITALOCEAN_TOKEN")
	}
	return strings.TrimSpace(token)
}

// cloudFromEnv opens the API with the operator's token.
func cloudFromEnv(std stdio) (droplets.Cloud, error) {
	token := apiToken(std)
	if token == "" {
		return nil, kind("no-token", &usageError{"no API token", "export DIGITALOCEAN_ACCESS_TOKEN=… (from https://cloud.digitalocean.com/account/api/tokens)"})
	}
	return openCloud(std, "DIGITALOCEAN_ACCESS_TOKEN", token)
}

// openCloud opens the API with a token that came from the variable name.
func openCloud(std stdio, name, token string) (droplets.Cloud, error) {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, kind("no-token", &usageError{"the API token has characters that no token has", "export " + name + "=… in one line"})
	}
	api := std.env("DIGITALOCEAN_API_URL")
	if u, err := url.Parse(api); api != "" && (err != nil || u.Hostname() == "" || u.Port() != "" && !droplets.IsPort(u.Port()) || u.Scheme != "http" && u.Scheme != "https") {
		return nil, kind("api-unreachable", &usageError{fmt.Sprintf("DIGITALOCEAN_API_URL is no address of an API: %q", api), "unset DIGITALOCEAN_API_URL"})
	}
	return droplets.Open(droplets.Config{Token: token, URL: api, UserAgent: "cattle/" + version()})
}
