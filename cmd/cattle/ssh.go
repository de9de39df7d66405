package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"cattle/droplets"
	"cattle/droplets/release"
)

func sshCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "ssh", Usage: "a shell on the live droplet, or one command there", ArgsUsage: "[COMMAND...]", OnUsageError: usage,
		Description: "To look, not to mend: what is changed by hand is gone with the next release. The host key is verified\n" +
			"against the droplet's tag, so nothing is ever trusted on first use. The exit status is the command's.",
		Flags: []cli.Flag{fileFlag(),
			&cli.StringFlag{Name: "to", Value: "live", Usage: "live, standby, candidate, or a droplet's `ID`"}},
		Action: func(c *cli.Context) error {
			return sshTo(c.Context, std, c.String("file"), c.String("to"), c.Args().Slice())
		},
	}
}

// remoteExit is the exit status of a command on a droplet: cattle's own then.
type remoteExit struct{ status int }

func (e *remoteExit) Error() string {
	return fmt.Sprintf("the command on the droplet ended with exit status %d", e.status)
}

func sshTo(ctx context.Context, std stdio, file, to string, command []string) error {
	o, _, w, err := survey(ctx, std, file, true)
	if err != nil {
		return err
	}
	defer o.Login.Close()
	m, err := member(w, to)
	if err != nil {
		return err
	}
	machine, err := droplets.Connect(ctx, o.Dialer, o.Login, m.Address(w.Reserved.IP), m.Birth.HostKey)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", m.Name, err)
	}
	defer machine.Close()
	streams := droplets.Streams{In: std.in, Out: std.raw.out, Err: std.raw.err}
	status, err := withTerminal(std, len(command) == 0, func(t *droplets.Terminal) (int, error) {
		return machine.Session(ctx, strings.Join(command, " "), streams, t)
	})
	if err == nil && status != 0 {
		err = &remoteExit{status}
	}
	return err
}

// member is the droplet that was asked for.
func member(w *release.World, to string) (release.Member, error) {
	var all []release.Member
	if w.Live != nil {
		all = append(all, *w.Live)
	}
	groups := map[string][]release.Member{"live": all, "standby": w.Standbys, "candidate": w.Candidates}
	found, named := groups[to]
	if id, err := strconv.Atoi(to); err == nil {
		named = true
		for _, group := range [][]release.Member{all, w.Standbys, w.Candidates, w.Orphans} {
			for _, m := range group {
				if m.ID == id {
					found = append(found, m)
				}
			}
		}
	}
	switch {
	case !named:
		return release.Member{}, &usageError{"there is no droplet " + strconv.Quote(to), "cattle ssh --to live|standby|candidate|ID"}
	case len(found) == 0:
		return release.Member{}, &usageError{"the app has no droplet " + to, "cattle status shows what there is"}
	case !found[0].Born:
		return release.Member{}, &usageError{"the tags of " + found[0].Name + " were edited: its host key is not known", "cattle status shows what there is"}
	}
	return found[0], nil
}

// withTerminal hands the operator's terminal, in raw mode, to do; nil where
// there is none or none is wanted.
func withTerminal(std stdio, wanted bool, do func(*droplets.Terminal) (int, error)) (int, error) {
	in, isFile := std.in.(*os.File)
	if !wanted || !std.inTTY || !isFile {
		return do(nil)
	}
	fd := int(in.Fd())
	columns, rows, err := term.GetSize(fd)
	if err != nil {
		return do(nil)
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return 0, err
	}
	defer term.Restore(fd, before)
	sizes, stop := resizes(fd)
	defer stop()
	return do(&droplets.Terminal{Kind: std.env("TERM"), Size: droplets.TerminalSize{Columns: columns, Rows: rows}, Resized: sizes})
}
