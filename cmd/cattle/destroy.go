package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/droplets/release"
)

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
}

func destroyCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "destroy", Usage: "end the site: every droplet of the app, the live one too", OnUsageError: usage,
		Description: "The reserved IP stays, and bills while it points at nothing, unless --with-ip is given.",
		Flags: append(executeFlags(), yesFlag(),
			&cli.BoolFlag{Name: "with-ip", Usage: "give the reserved IP back too"}),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return destroy(c.Context, std, c.String("file"), destroyOptions{c.Bool("with-ip"), c.Bool("json"), c.Bool("dry-run"), c.Bool("yes")})
		},
	}
}

type destroyOptions struct{ withIP, json, dryRun, yes bool }

func destroy(ctx context.Context, std stdio, file string, opts destroyOptions) error {
	p, err := loadProfile(std, file)
	if err != nil {
		return err
	}
	o, err := operator(std, false)
	if err != nil {
		return err
	}
	site := siteOf(p, nil)
	w, err := o.Survey(ctx, site)
	if err != nil {
		return err
	}
	doomed := release.PlanDestroy(w, opts.withIP)
	printDoomed(std, doomed, opts)
	if opts.dryRun {
		return nil
	}
	if err := confirmed(std, opts.yes, site.App, "this ends "+site.App+" and all that is on its droplets"); err != nil {
		return err
	}
	if err := o.Destroy(ctx, site, doomed); err != nil {
		return err
	}
	if doomed.IP != "" && !opts.withIP {
		fmt.Fprintf(std.err, "cattle: the reserved IP %s stays and bills; to give it back: doctl compute reserved-ip delete %s\n", doomed.IP, doomed.IP)
	}
	return nil
}

func printDoomed(std stdio, d *release.Doomed, opts destroyOptions) {
	for _, m := range d.Droplets {
		if opts.json {
			writeJSON(std.out, map[string]any{"message_type": "doomed", "droplet": m.ID, "name": m.Name, "release": m.Birth.Release, "dry_run": opts.dryRun})
			continue
		}
		fmt.Fprintf(std.out, "droplet %d %s\n", m.ID, m.Name)
	}
	if d.WithIP && d.IP != "" && !opts.json {
		fmt.Fprintf(std.out, "reserved IP %s\n", d.IP)
	}
}

// confirmed asks for a word to be typed, and never where nobody can.
func confirmed(std stdio, yes bool, word, what string) error {
	if yes {
		return nil
	}
	if !std.inTTY {
		return &usageError{what + ": nobody can be asked here", "add --yes"}
	}
	fmt.Fprintf(std.err, "%s. Type %s to go on: ", what, word)
	typed, _ := bufio.NewReader(std.in).ReadString('\n')
	if strings.TrimSpace(typed) != word {
		return &usageError{"not confirmed; nothing was done", ""}
	}
	return nil
}
