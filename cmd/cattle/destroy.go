package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/release"
)

func yesFlag() cli.Flag {
	return &cli.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
}

func destroyCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "destroy", Usage: "end the site: every droplet of the app, the live one too", OnUsageError: usage,
		Description: "The reserved IP stays, and bills while it points at nothing, unless --with-ip is given.\n\n" +
			"    cattle destroy --dry-run\n" +
			"    cattle destroy --with-ip --yes",
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
	o, site, w, err := surveyAround(ctx, std, file, false)
	if err != nil {
		return err
	}
	doomed := release.PlanDestroy(site, w, opts.withIP)
	if err := printDoomed(std, doomed, opts); err != nil || opts.dryRun {
		return err
	}
	if err := confirmed(ctx, std, opts.yes, site.App, "this ends "+site.App+" and all that is on its droplets"); err != nil {
		return err
	}
	// Told before the droplets end: afterwards nothing leads to the address any more.
	if doomed.IP != "" && !opts.withIP {
		fmt.Fprintf(std.err, "cattle: the reserved IP %s stays and bills; to give it back: doctl compute reserved-ip delete %s\n", doomed.IP, doomed.IP)
	}
	if err := loginForVolumes(std, o, w); err != nil && !errors.Is(err, droplets.ErrNoSSHKey) {
		return err
	}
	defer o.Login.Close()
	std.remedy.is("cattle destroy")
	for _, v := range doomed.Volumes {
		fmt.Fprintf(std.err, "cattle: the volume %s stays and bills $%.2f a month, with all that is on it; to delete it: doctl compute volume delete %s\n", v.Is.Name, v.PriceMonthly(), v.Is.ID)
	}
	err = o.Destroy(ctx, site, doomed)
	var incomplete *release.Incomplete
	if err != nil && !errors.As(err, &incomplete) {
		return err
	}
	return errors.Join(sayDestroyed(std, site, doomed, opts), err)
}

func sayDestroyed(std stdio, site release.Site, doomed *release.Doomed, opts destroyOptions) error {
	if opts.json {
		return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "destroy", "droplets": len(doomed.Droplets), "snapshots": len(doomed.Snapshots)})
	}
	ended := count(len(doomed.Droplets), "droplet")
	if n := len(doomed.Snapshots); n > 0 {
		ended += " and " + count(n, "snapshot")
	}
	return say(std.out, fmt.Sprintf("%s is gone: %s destroyed\n", site.App, ended))
}

func printDoomed(std stdio, d *release.Doomed, opts destroyOptions) error {
	var b strings.Builder
	tell := func(text string, fields map[string]any) {
		if !opts.json {
			b.WriteString("to be " + text + "\n")
			return
		}
		fields["message_type"], fields["dry_run"] = "doomed", opts.dryRun
		writeJSON(&b, fields)
	}
	for _, m := range d.Droplets {
		tell(fmt.Sprintf("destroyed: droplet %d %s", m.ID, m.Name), map[string]any{"droplet": m.ID, "name": m.Name, "release": m.Birth.Release})
	}
	for _, s := range d.Snapshots {
		tell(fmt.Sprintf("destroyed: snapshot %d %s", s.ID, s.Name), map[string]any{"snapshot": s.ID, "name": s.Name})
	}
	for _, r := range d.Records {
		tell(fmt.Sprintf("deleted: record %s", r), map[string]any{"record": r.String()})
	}
	if d.Firewall != "" {
		tell("deleted: firewall "+d.Firewall, map[string]any{"firewall": d.Firewall})
	}
	if d.WithIP && d.IP != "" && !opts.json {
		tell("given back: reserved IP "+d.IP, nil)
	}
	if len(d.Droplets) == 0 && !opts.json {
		b.WriteString("there is no droplet to destroy\n")
	}
	return say(std.out, b.String())
}

// confirmed asks for a word to be typed, and never where nobody can.
func confirmed(ctx context.Context, std stdio, yes bool, word, what string) error {
	if yes {
		return nil
	}
	if !std.inTTY {
		return &usageError{what + ": nobody can be asked here", "add --yes"}
	}
	fmt.Fprintf(std.err, "%s. Type %s to go on: ", what, word)
	typed, err := typedLine(ctx, std)
	if err == nil && typed != word {
		err = &usageError{"not confirmed; nothing was done", ""}
	}
	return err
}

// typedLine is what the reader types, without the blanks around it.
func typedLine(ctx context.Context, std stdio) (string, error) {
	typed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(std.in).ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	select {
	case line := <-typed:
		return line, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
