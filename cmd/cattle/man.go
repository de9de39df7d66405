package main

import (
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/manual"
)

// manCommand is for packagers: cattle man > cattle.1.
func manCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the man page, for man -l or a package", OnUsageError: usage,
		Description: "    cattle man\n" +
			"    cattle man > cattle.1  # man -l cattle.1",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return say(std.out, manPage(topicOf(c.App), builtFrom(debug.ReadBuildInfo())))
		},
	}
}

func manPage(root manual.Topic, b build) string {
	page := manual.Page{Root: root, Version: b.Version, Sections: manSections()}
	if at, err := time.Parse(time.RFC3339, b.Date); err == nil {
		page.Date = at.UTC().Format(time.DateOnly)
	}
	return page.String()
}

func manSections() []manual.Section {
	return []manual.Section{
		{Title: "EXIT STATUS", Entries: [][2]string{
			{"0", "Done and verified: what was asked for serves, through the reserved IP."},
			{"1", "Failed."},
			{"2", "Bad input or profile. Nothing was done."},
			{"3", "Not released. The old release serves, and what was begun is undone."},
			{"4", "It serves, and something needs you: what, and what to type, is printed."},
			{"130", "Interrupted. What was begun is undone."},
		}},
		{Title: "ENVIRONMENT", Entries: environment()},
		{Title: "FILES", Entries: [][2]string{
			{"cattle.yaml", "The profile: the machine as it is to be, under version control."},
			{"secrets.env", "The site's secrets, encrypted by SOPS."},
			{".sops.yaml", "Who can read them."},
		}},
		{Title: "SEE ALSO", Text: []string{"docker-compose(1), age(1), sops(1), doctl(1)"}},
	}
}

// environment are the variables that a user may set.
func environment() [][2]string {
	return [][2]string{
		{"DIGITALOCEAN_ACCESS_TOKEN, DIGITALOCEAN_TOKEN", "The token of the API; the first one counts."},
		{"DIGITALOCEAN_API_URL", "Another address of the API, such as a sandbox's."},
		{"CATTLE_GUARD_TOKEN", "The token that release.guard gives to the droplet that is left. It needs reserved_ip:update alone."},
		{"CATTLE_FILE", "The profile, in place of cattle.yaml."},
		{"CATTLE_SSH_KEY", "The private key to log in to droplets with, in place of an agent's and the usual ones."},
		{"SSH_AUTH_SOCK", "The agent whose keys are tried."},
		{"SOPS_AGE_KEY, SOPS_AGE_KEY_FILE, SOPS_AGE_KEY_CMD", "The key that opens the secrets, as sops looks for it."},
		{"CATTLE_SOPS_URL, CATTLE_SOPS_SHA256", "Another place that droplets get sops from, and its checksum."},
		{"ALL_PROXY, NO_PROXY", "The way to the API, the registries and the droplets: socks5h://HOST:PORT."},
		{"SSL_CERT_FILE", "The authorities that are trusted, in place of the system's."},
		{"VISUAL, EDITOR", "The editor of cattle secrets edit."},
		{"NO_COLOR, CLICOLOR, CLICOLOR_FORCE", "Whether to colour what a terminal shows."},
	}
}
