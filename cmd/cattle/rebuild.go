package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets/release"
	"cattle/profiles"
)

func rebuildCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rebuild", Usage: "put the live version on a fresh, freshly patched droplet", OnUsageError: usage,
		Flags: append(executeFlags(), reportFlag(), keepFailedFlag(), noHandoffFlag(),
			&cli.StringFlag{Name: "if-older-than", Usage: "only if the live droplet is at least this old: `7d`, 36h"}),
		Action: withPage(std, func(std stdio, c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return rebuild(c.Context, std, c.String("if-older-than"), releaseOptions{
				verb: "rebuild", file: c.String("file"), json: c.Bool("json"), dryRun: c.Bool("dry-run"),
				keepFailed: c.Bool("keep-failed"), noHandoff: c.Bool("no-handoff"),
			})
		}),
	}
}

func rebuild(ctx context.Context, std stdio, olderThan string, opts releaseOptions) error {
	var age time.Duration
	if olderThan != "" {
		var err error
		if age, err = profiles.ParseDuration(olderThan); err != nil {
			return &usageError{"--if-older-than: " + err.Error(), "cattle rebuild --if-older-than 7d"}
		}
	}
	p, o, err := begin(std, opts.file, opts.json, true)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	site := siteOf(p, nil)
	w, err := o.Survey(ctx, site)
	if err != nil {
		return err
	}
	if w.Live == nil || !w.Live.Born {
		return &release.Preflight{Faults: []release.Fault{{Msg: "there is no live droplet to rebuild", Hint: "cattle release VERSION"}}}
	}
	if faults := w.GuardFaults(site); len(faults) > 0 {
		return &release.Preflight{Faults: faults, Serving: w.Serving()}
	}
	if !w.OlderThan(age) {
		return stillYoung(ctx, std, o, site, w, olderThan, opts.json)
	}
	if fault := w.PinFault(); fault != nil {
		return &release.Preflight{Faults: []release.Fault{*fault}, Serving: w.Serving()}
	}
	opts.version, opts.pins = w.Serving(), o.Pins
	return releaseLoaded(ctx, std, o, p, opts)
}

// stillYoung ends a rebuild that is not due. Exit status 0 means here too that
// the release was seen to serve.
func stillYoung(ctx context.Context, std stdio, o *release.Operator, site release.Site, w *release.World, olderThan string, asJSON bool) error {
	if v := o.Verify(ctx, site, w); !v.Serving {
		return fmt.Errorf("the live droplet is younger than %s, but does not serve: %w", olderThan, v.Err)
	}
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "rebuild", "skipped": true, "release": w.Serving(), "age_seconds": w.Age().Seconds()})
	}
	fmt.Fprintf(std.out, "%s %s serves on a droplet that is %s old, younger than %s: nothing to rebuild\n", site.App, w.Serving(), w.Age(), olderThan)
	return nil
}
