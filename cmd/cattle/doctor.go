package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/terminal"
	"cattle/droplets/release"
	"cattle/profiles"
)

func doctorCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look for what would stop a release, or needs you; --measure times this account's cloud", OnUsageError: usage,
		Description: "Reads the account and the live droplet, and changes nothing. Exit status 0: nothing is wrong; 1: something\n" +
			"would stop a release; 4: something needs you. With --measure it makes two droplets and a reserved IP for some\n" +
			"minutes, and prints what they did for a bug report.\n\n" +
			"    cattle doctor\n" +
			"    cattle doctor --json\n" +
			"    cattle doctor --measure",
		Flags: []cli.Flag{fileFlag(), jsonFlag(), yesFlag(),
			&cli.BoolFlag{Name: "measure", Usage: "create droplets and move an address between them, to see how long it takes; costs a few cents"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("measure") {
				return measureAccount(c.Context, std, c.String("file"), c.Bool("json"), c.Bool("yes"))
			}
			return doctor(c.Context, std, c.String("file"), c.Bool("json"))
		},
	}
}

// A finding is one thing that was looked at: what is the case and, where it is
// wrong, its cure.
type finding struct {
	About string `json:"about"`
	Found string `json:"found"`
	Cure  string `json:"cure,omitempty"`  // empty: nothing is wrong
	Stops bool   `json:"stops,omitempty"` // it would stop a release
}

func fine(about, format string, args ...any) finding {
	return finding{About: about, Found: fmt.Sprintf(format, args...)}
}

// stops is a finding that would stop a release.
func stops(about, found, cure string) finding { return finding{about, found, cure, true} }

// needs is one that needs the operator before long.
func needs(about, found, cure string) finding { return finding{about, found, cure, false} }

// ailing is the failure of doctor: the command worked, something is wrong.
type ailing struct{ stops, needs int }

func (e *ailing) Error() string {
	if e.stops == 0 {
		return count(e.needs, "thing") + " to look after; none would stop a release"
	}
	return count(e.stops, "thing") + " would stop a release"
}

func (e *ailing) status() int {
	if e.stops > 0 {
		return exitFailed
	}
	return exitLeftover
}

// patient is what findings are about. Its looks run at the same time; what
// several of them need is read once.
type patient struct {
	std     stdio
	o       *release.Operator
	cloud   *remembering
	profile *profiles.Profile // nil: the account alone is looked at
	where   profiles.Droplet
	world   func() (*release.World, error)
	live    func() (*examinedDroplet, error)
}

// question is one look, or some that belong together.
type question func(context.Context) []finding

func doctor(ctx context.Context, std stdio, file string, asJSON bool) error {
	p, err := examined(ctx, std, file)
	if err != nil {
		return err
	}
	defer p.o.Login.Close()
	looks := []question{one(p.account)}
	if token := p.account(ctx); token.Cure == "" { // else nothing can be read
		looks = append(looks, p.scopes, one(p.quota), one(p.clock), one(p.key), one(p.size), one(p.image))
		if p.profile != nil {
			looks = append(looks, p.secrets, p.site, p.names, p.certificate, p.droplet, p.state, p.backups, p.privateNetwork, p.standbys, p.snapshot)
		}
	}
	found := make([][]finding, len(looks))
	var wg sync.WaitGroup
	for i, look := range looks {
		wg.Go(func() { found[i] = look(ctx) })
	}
	wg.Wait()
	var all []finding
	var wrong ailing
	for _, fs := range found {
		for _, f := range fs {
			all = append(all, f)
			switch {
			case f.Stops:
				wrong.stops++
			case f.Cure != "":
				wrong.needs++
			}
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := printFindings(std, all, asJSON); err != nil || wrong == (ailing{}) {
		return err
	}
	return &wrong
}

func one(look func(context.Context) finding) question {
	return func(ctx context.Context) []finding { return []finding{look(ctx)} }
}

// examined takes region, size and image from the profile, where there is one;
// else they are the defaults of all profiles.
func examined(ctx context.Context, std stdio, file string) (*patient, error) {
	o, err := operator(std, false)
	if err != nil {
		return nil, err
	}
	p := &patient{std: std, o: o, cloud: remember(ctx, o.Cloud), where: profiles.Droplet{Region: "nyc3", Size: "s-1vcpu-1gb", Image: "debian-13-x64"}}
	o.Cloud = p.cloud
	if o.Login, err = login(std); err != nil {
		o.Login = nil // which is a finding
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if p.profile, err = loadQuietly(file); err != nil {
		return nil, err
	}
	p.where = p.profile.Droplet
	p.world = sync.OnceValues(func() (*release.World, error) { return o.SurveyRelease(ctx, siteOf(p.profile, nil)) })
	p.live = sync.OnceValues(func() (*examinedDroplet, error) { return p.examineLive(ctx) })
	return p, nil
}

func printFindings(std stdio, all []finding, asJSON bool) error {
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "doctor", "findings": all})
	}
	var b strings.Builder
	for _, f := range all {
		word := "ok"
		switch {
		case f.Stops:
			word = "WRONG"
		case f.Cure != "":
			word = "LOOK"
		}
		row := func(word, about, text string) {
			fmt.Fprintf(&b, "%-6s %-11s %s\n", word, about, terminal.Fold(flat(text), std.columns()-19, 19))
		}
		row(word, f.About, f.Found)
		if f.Cure != "" {
			row("", "", "to mend it: "+f.Cure)
		}
	}
	return say(std.out, b.String())
}

// failed is a finding about a question that had no answer.
func failed(about string, err error) finding {
	cure := hintFor(err)
	if cure == "" {
		cure = "try again; https://status.digitalocean.com tells of outages"
	}
	return stops(about, err.Error(), cure)
}

// unasked is one about a droplet that does not answer: that stops no release.
func unasked(about string, err error) finding {
	cure := hintFor(err)
	if cure == "" {
		cure = "cattle status"
	}
	return needs(about, err.Error(), cure)
}

// faults are findings about what would refuse a plan.
func faultFindings(about string, faults []release.Fault) (out []finding) {
	for _, f := range faults {
		cure := f.Hint
		if cure == "" {
			cure = "cattle plan VERSION"
		}
		out = append(out, stops(about, f.Msg, cure))
	}
	return out
}
