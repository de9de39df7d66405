package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
)

func rebuildCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rebuild", Usage: "put the live version on a fresh, freshly patched droplet", OnUsageError: usage,
		Description: "    cattle rebuild\n" +
			"    cattle rebuild --if-older-than 7d --if-updates  # every night, from a timer",
		Flags: append(append(executeFlags(), dataFlags()...), reportFlag(), keepFailedFlag(), noHandoffFlag(), spendFlag(),
			&cli.StringFlag{Name: "if-older-than", Usage: "only if the live droplet is at least this old: `7d`, 36h"},
			&cli.BoolFlag{Name: "if-updates", Usage: "only if a fresh droplet would have newer packages than the live one"}),
		Action: withPage(std, func(std stdio, c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return rebuild(c.Context, std, rebuildIf{c.String("if-older-than"), c.Bool("if-updates")}, releaseOptions{
				verb: "rebuild", file: c.String("file"), json: c.Bool("json"), dryRun: c.Bool("dry-run"),
				keepFailed: c.Bool("keep-failed"), noHandoff: c.Bool("no-handoff"), spend: c.Bool("spend-certificate"), data: dataOptionsOf(c),
			})
		}),
	}
}

// rebuildIf is when a rebuild is due: both have to hold.
type rebuildIf struct {
	olderThan string
	updates   bool
}

func (due rebuildIf) age() (time.Duration, error) {
	if due.olderThan == "" {
		return 0, nil
	}
	age, err := profiles.ParseDuration(due.olderThan)
	if err != nil {
		err = &usageError{"--if-older-than: " + err.Error(), "cattle rebuild --if-older-than 7d"}
	}
	return age, err
}

func rebuild(ctx context.Context, std stdio, due rebuildIf, opts releaseOptions) error {
	age, err := due.age()
	if err != nil {
		return err
	}
	if !opts.dryRun {
		std.crier.begins(opts.verb, "")
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
	if err := rebuildable(w, site); err != nil {
		return err
	}
	why, note, err := due.notYet(ctx, o, w, age)
	if err != nil {
		return err
	}
	if why != "" {
		return notDue(ctx, std, o, site, w, why, opts.json)
	}
	if fault := w.PinFault(); fault != nil {
		return &release.Preflight{Faults: []release.Fault{*fault}, Serving: w.Serving()}
	}
	opts.version, opts.pins = w.Serving(), o.Pins
	if !opts.dryRun {
		std.crier.begins(opts.verb, opts.version)
	}
	if note != "" {
		opts.notices = []string{note}
	}
	return releaseLoaded(ctx, std, o, p, opts)
}

// rebuildable refuses where there is nothing to rebuild, or not yet.
func rebuildable(w *release.World, site release.Site) error {
	if w.Live == nil || !w.Live.Born {
		return &release.Preflight{Faults: []release.Fault{{Code: "nothing-live", Msg: "there is no live droplet to rebuild", Hint: "cattle release VERSION"}}}
	}
	if faults := w.GuardFaults(site); len(faults) > 0 {
		return &release.Preflight{Faults: faults, Serving: w.Serving()}
	}
	return nil
}

// notYet is why a rebuild is not due, "" when it is, and then what it is for.
func (due rebuildIf) notYet(ctx context.Context, o *release.Operator, w *release.World, age time.Duration) (why, note string, err error) {
	if !w.OlderThan(age) {
		return fmt.Sprintf("it is %s old, younger than %s", w.Age(), due.olderThan), "", nil
	}
	if !due.updates {
		return "", "", nil
	}
	pending, err := o.Pending(ctx, w)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("which updates are pending is not known: %w", err)
	case len(pending.Packages) == 0 && !pending.Reboot:
		return "no update is pending on it", "", nil
	}
	return "", pendingText(pending), nil
}

// notDue ends a rebuild that has nothing to do. Exit status 0 means here too
// that the release was seen to serve.
func notDue(ctx context.Context, std stdio, o *release.Operator, site release.Site, w *release.World, why string, asJSON bool) error {
	if v := o.Verify(ctx, site, w); !v.Serving {
		return fmt.Errorf("the live droplet needs no rebuild (%s), but does not serve: %w", why, v.Err)
	}
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "rebuild", "skipped": true, "why": why, "release": w.Serving(), "age_seconds": w.Age().Seconds()})
	}
	return say(std.out, fmt.Sprintf("%s %s serves on droplet %d; %s: nothing to rebuild\n", site.App, w.Serving(), w.Live.ID, why))
}

// pendingText says what a rebuild is for.
func pendingText(p droplets.Pending) string {
	var parts []string
	for _, u := range p.Packages {
		parts = append(parts, fmt.Sprintf("%s %s → %s", u.Name, u.From, u.To))
	}
	text := "pending on the live droplet: " + count(len(p.Packages), "update")
	if p.Reboot {
		text += ", and a reboot"
	}
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}
