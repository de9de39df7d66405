package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"cattle/droplets"
	"cattle/droplets/look"
)

func sshCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "ssh", Usage: "a shell on the live droplet, one command there, or a tunnel", ArgsUsage: "[COMMAND...]", OnUsageError: usage,
		Description: "To look, not to mend: what is changed by hand is gone with the next release. The host key is verified\n" +
			"against the droplet's tag, so nothing is ever trusted on first use. The exit status is the command's.\n" +
			"One word is a line for the droplet's shell; several arrive as they were typed.\n\n" +
			"    cattle ssh\n" +
			"    cattle ssh 'df -h | sort'\n" +
			"    cattle ssh -- find / -size +100M -name '*.log'\n" +
			"    cattle ssh -L 5432:db:5432     # the service db, on 127.0.0.1:5432, until you interrupt",
		Flags: []cli.Flag{fileFlag(), toFlag(),
			&cli.StringSliceFlag{Name: "L", Usage: "a tunnel from a port of this computer: `PORT:HOST:PORT`, where HOST may be a service"}},
		Action: func(c *cli.Context) error {
			tunnels, err := parseTunnels(c.StringSlice("L"))
			if err != nil {
				return err
			}
			return sshTo(c.Context, std, c.String("file"), c.String("to"), tunnels, c.Args().Slice())
		},
	}
}

// remoteExit is the exit status of a command on a droplet: cattle's own then.
type remoteExit struct{ status int }

func (e *remoteExit) Error() string {
	return fmt.Sprintf("the command on the droplet ended with exit status %d", e.status)
}

func sshTo(ctx context.Context, std stdio, file, to string, tunnels []look.Tunnel, command []string) error {
	t, err := reach(ctx, std, file, to)
	if err != nil {
		return err
	}
	defer t.close()
	if len(tunnels) > 0 {
		lost, err := t.dig(ctx, std, tunnels)
		if err != nil {
			return err
		}
		if len(command) == 0 {
			return await(ctx, std, lost)
		}
	}
	line := droplets.Quote(command...)
	if len(command) == 1 {
		line = command[0]
	}
	return t.session(ctx, std, func(bool) string { return line })
}

// session runs a command on the droplet, in the operator's terminal if he sits
// at one. Its exit status is cattle's.
func (t *target) session(ctx context.Context, std stdio, command func(terminal bool) string) error {
	streams := droplets.Streams{In: std.in, Out: std.raw.out, Err: std.raw.err}
	status, err := withTerminal(std, func(terminal *droplets.Terminal) (int, error) {
		return t.machine.Session(ctx, command(terminal != nil), streams, terminal)
	})
	if err == nil && status != 0 {
		err = &remoteExit{status}
	}
	return err
}

// withTerminal hands the operator's terminal, in raw mode, to do; nil where
// there is none: where he types or reads by way of a pipe or a file.
func withTerminal(std stdio, do func(*droplets.Terminal) (int, error)) (int, error) {
	in, isFile := std.in.(*os.File)
	if !std.inTTY || !std.outTTY || !isFile {
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

func parseTunnels(texts []string) (all []look.Tunnel, err error) {
	for _, text := range texts {
		t, err := look.ParseTunnel(text)
		if err != nil {
			return nil, &usageError{"-L: " + err.Error(), "cattle ssh -L 5432:db:5432"}
		}
		all = append(all, t)
	}
	return all, nil
}

// dig opens the tunnels, and says where each begins. The channel closes when
// the droplet is gone.
func (t *target) dig(ctx context.Context, std stdio, tunnels []look.Tunnel) (<-chan struct{}, error) {
	for _, tunnel := range tunnels {
		address, err := tunnel.Resolve(ctx, t.machine, t.site.App)
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(tunnel.Port)))
		if err != nil {
			return nil, &usageError{err.Error(), fmt.Sprintf("a free port of any number: cattle ssh -L 0:%s:%d", tunnel.Host, tunnel.To)}
		}
		fmt.Fprintf(std.err, "cattle: %s leads to %s:%d (%s) on %s\n", l.Addr(), tunnel.Host, tunnel.To, address, t.member.Name)
		go look.Serve(ctx, t.machine, l, address, func(err error) {
			fmt.Fprintf(std.err, "cattle: %s: %v\n", address, err)
		})
	}
	lost := make(chan struct{})
	go func() {
		t.machine.KeepAlive(ctx, look.SignOfLife)
		close(lost)
	}()
	return lost, nil
}

// await holds the tunnels open until the operator has enough of them.
func await(ctx context.Context, std stdio, lost <-chan struct{}) error {
	std.remedy.isNone()
	fmt.Fprintln(std.err, "cattle: until you interrupt (Ctrl-C)")
	select {
	case <-lost:
		if ctx.Err() == nil {
			return errors.New("the connection to the droplet was cut")
		}
	case <-ctx.Done():
	}
	return std.enough()
}

// enough is the end of a command that goes on until it is interrupted. A
// terminal shows ^C then, and what follows begins on a line of its own.
func (std stdio) enough() error {
	if std.errTTY {
		fmt.Fprintln(std.raw.err)
	}
	return &remoteExit{exitInterrupted}
}
