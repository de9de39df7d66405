package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/terminal"
	"cattle/droplets"
	"cattle/droplets/release"
)

func historyCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "history", Usage: "who released what when, and how it went", ArgsUsage: "[VERSION|ATTEMPT]", OnUsageError: usage,
		Description: "The history is on the live droplet and moves on with every release and rollback, so it is the same on any\n" +
			"operator's machine. With a version or an attempt: all that is known of the latest such entry.\n\n" +
			"    cattle history\n" +
			"    cattle history -n 5\n" +
			"    cattle history v1.2.0",
		Flags: []cli.Flag{fileFlag(), jsonFlag(), &cli.IntFlag{Name: "n", Value: 20, Usage: "how many entries, the newest first; 0: all"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			return history(c.Context, std, c.String("file"), c.Args().First(), c.Int("n"), c.Bool("json"))
		},
	}
}

// entryJSON is an entry for programs.
type entryJSON struct {
	Type string `json:"message_type"`
	droplets.Entry
}

// notRecorded is the outcome of what is live and is not in the history.
const notRecorded = "not recorded"

func history(ctx context.Context, std stdio, file, of string, most int, asJSON bool) error {
	o, site, w, err := survey(ctx, std, file, true)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	if w.Live == nil {
		return &release.Preflight{Faults: []release.Fault{{Code: "nothing-live", Msg: "nothing is live, and the history is on the live droplet", Hint: "cattle release VERSION"}}}
	}
	h, err := o.History(ctx, w)
	if err != nil {
		return fmt.Errorf("the history is on the live droplet, and could not be read: %w", err)
	}
	entries := newestFirst(w, h.Entries)
	if of != "" {
		return oneEntry(std, entries, of, asJSON)
	}
	shown := entries
	if most > 0 {
		shown = entries[:min(most, len(entries))]
	}
	if asJSON {
		for _, e := range shown {
			if err := writeJSON(std.out, entryJSON{"entry", e}); err != nil {
				return err
			}
		}
		return nil
	}
	return say(std.out, historyText(site.App, shown, len(entries), std.columns()))
}

// newestFirst turns the history round, and begins with what is live where that
// is not in it: its tags tell what they can.
func newestFirst(w *release.World, entries []droplets.Entry) []droplets.Entry {
	out := slices.Clone(entries)
	slices.Reverse(out)
	if live := w.Live; w.Unrecorded(entries) {
		out = append([]droplets.Entry{{At: live.Created.UTC(), Release: live.Birth.Release, Attempt: live.Birth.Attempt,
			Droplet: live.ID, Outcome: notRecorded}}, out...)
	}
	return out
}

// historyText is the list, folded at width columns (0: not at all).
func historyText(app string, shown []droplets.Entry, all, width int) string {
	if all == 0 {
		return "the history of " + app + " is empty\n"
	}
	var rows, b strings.Builder
	t := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	for _, e := range shown {
		took := ""
		if e.Outcome != notRecorded {
			took = seconds(milliseconds(e.Took))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.At.UTC().Format(minutes), cmp.Or(e.Verb, "?"), orNone(e.Release), e.Outcome, took, by(e.By))
	}
	t.Flush()
	for i, row := range strings.Split(strings.TrimRight(rows.String(), "\n"), "\n") {
		b.WriteString(strings.TrimRight(row, " ") + "\n")
		for _, line := range details(shown[i]) {
			fmt.Fprintf(&b, "    %s\n", terminal.Fold(line, width-4, 4))
		}
	}
	if older := all - len(shown); older > 0 {
		fmt.Fprintf(&b, "and %d older: cattle history -n 0\n", older)
	}
	return b.String()
}

// minutes is a time without what nobody looks for in a list.
const minutes = "2006-01-02 15:04Z"

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// by is who, from where, in a few words.
func by(a droplets.Author) string {
	who := a.Who
	switch {
	case a.CI != "" && who != "":
		who += " by " + a.CI
	case a.CI != "":
		who = a.CI
	case a.Host != "":
		who += "@" + a.Host
	}
	return who
}

// details are the lines below an entry of a list.
func details(e droplets.Entry) (out []string) {
	if e.Outcome == notRecorded {
		out = append(out, fmt.Sprintf("live on droplet %d; who switched to it did not come to write it down", e.Droplet))
	}
	if e.Reason != "" {
		out = append(out, e.Reason)
	}
	var facts []string
	if c := e.By.Commit; c != "" {
		facts = append(facts, "commit "+c[:min(9, len(c))]+map[bool]string{true: "+dirty"}[e.By.Dirty])
	}
	if e.Cutover != nil {
		facts = append(facts, "switch: "+cutover(*e.Cutover))
	}
	if moved := dataInHistory(e.Data); moved != "" {
		facts = append(facts, moved)
	}
	if len(facts) > 0 {
		out = append(out, strings.Join(facts, "; "))
	}
	if e.Updates != nil {
		out = append(out, updatesSummary(e.Updates))
	}
	if e.By.Run != "" {
		out = append(out, e.By.Run)
	}
	return out
}

func cutover(c droplets.Cutover) string {
	return fmt.Sprintf("%s, %d failed, longest gap %d ms", count(c.Requests, "request"), c.Failed, c.Gap)
}

// oneEntry prints all of the newest entry of a version or an attempt.
func oneEntry(std stdio, entries []droplets.Entry, of string, asJSON bool) error {
	i := slices.IndexFunc(entries, func(e droplets.Entry) bool {
		return e.Release == of || len(of) >= 8 && strings.HasPrefix(e.Attempt, of)
	})
	if i < 0 {
		return &usageError{"the history has no entry of " + of, "cattle history -n 0"}
	}
	if asJSON {
		return writeJSON(std.out, entryJSON{"entry", entries[i]})
	}
	return say(std.out, entryText(entries[i]))
}

func entryText(e droplets.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n", cmp.Or(e.Verb, "?"), orNone(e.Release), e.Outcome)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", name, text)
		}
	}
	row("when", e.At.UTC().Format(time.RFC3339))
	row("attempt", e.Attempt)
	row("droplet", fmt.Sprint(e.Droplet))
	row("reason", e.Reason)
	if e.Outcome == notRecorded {
		return b.String()
	}
	row("took", seconds(milliseconds(e.Took)))
	a := e.By
	row("by", by(a))
	row("run", a.Run)
	row("commit", strings.TrimSpace(a.Commit+map[bool]string{true: " and what was not committed"}[a.Dirty]))
	row("cattle", a.Cattle)
	if e.Cutover != nil {
		row("switch", cutover(*e.Cutover))
	}
	if w := e.Watch; w != nil {
		row("watch", fmt.Sprintf("%s: %s, %d failed", seconds(milliseconds(w.MS)), count(w.Requests, "request"), w.Errors))
	}
	row("data", dataInHistory(e.Data))
	row("standby", e.Standby)
	b.WriteString(updatesText(e.Updates, "  "))
	b.WriteString(drawSteps(e.Steps))
	return b.String()
}

// updatesText is what a rebuild brought, a line a package; "" where it is not known.
func updatesText(u *droplets.Updates, indent string) string {
	if u == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n", indent, updatesSummary(u))
	if k := u.Kernel; k != nil {
		fmt.Fprintf(&b, "%s  kernel %s → %s\n", indent, orNone(k.From), orNone(k.To))
	}
	for _, one := range u.Packages {
		fmt.Fprintf(&b, "%s  %s %s → %s\n", indent, one.Name, orNone(one.From), orNone(one.To))
	}
	if u.More > 0 {
		fmt.Fprintf(&b, "%s  and %d more\n", indent, u.More)
	}
	for _, one := range u.Images {
		fmt.Fprintf(&b, "%s  %s %s → %s\n", indent, one.Name, shortDigest(one.From), shortDigest(one.To))
	}
	return b.String()
}

// updatesSummary says it in a line.
func updatesSummary(u *droplets.Updates) string {
	kernel := "the same kernel"
	if u.Kernel != nil {
		kernel = "another kernel"
	}
	images := "the same images"
	if len(u.Images) > 0 {
		images = count(len(u.Images), "other image")
	}
	packages := "the same packages"
	if n := len(u.Packages) + u.More; n > 0 {
		packages = count(n, "other package")
	}
	return "rebuilt with " + packages + ", " + kernel + ", " + images
}

// drawSteps shows steps one after another, as they ran.
func drawSteps(steps []droplets.Took) string {
	const columns = chartColumns - 14
	var all, before int64
	for _, s := range steps {
		all += max(s.MS, 0)
	}
	if all == 0 {
		return ""
	}
	var b strings.Builder
	for _, s := range steps {
		from, to := int(before*columns/all), int((before+max(s.MS, 0))*columns/all)
		before += max(s.MS, 0)
		drawn := strings.Repeat(" ", from) + strings.Repeat("━", max(1, to-from))
		fmt.Fprintf(&b, "  %-13s %-*s %9s\n", s.Name, columns+1, drawn, seconds(milliseconds(s.MS)))
	}
	return b.String()
}
