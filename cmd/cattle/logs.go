package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// someLines are shown where neither --lines nor --since is given, and at most
// manyLines of those since a time.
const someLines, manyLines = 100, 10_000

type logsOptions struct {
	file, to    string
	names       []string
	follow      bool
	lines       int // -1: not given
	since       time.Duration
	asJSON, raw bool
}

func logsCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "logs", Usage: "show or follow the logs of services and of the droplet", ArgsUsage: "[SERVICE|nginx|mail|cron|boot|system...]", OnUsageError: usage,
		Description: "Without a name the logs of all services, one line after another in the order of time (UTC). With --follow it goes\n" +
			"on after a cut where it was, and with the new live droplet after a switch; an interrupt ends it, with exit status 130.\n\n" +
			"    cattle logs\n" +
			"    cattle logs -f web nginx\n" +
			"    cattle logs --since 2h mail cron\n" +
			"    cattle logs --to standby boot",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Value: "cattle.yaml", EnvVars: []string{"CATTLE_FILE"}, Usage: "the `FILE` with the profile"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what comes"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: -1, DefaultText: "100, or 10000 with --since", Usage: "the newest `LINES` at most, of all names together"},
			&cli.DurationFlag{Name: "since", Usage: "none that is older than `TIME`: 90s, 15m, 2h"},
			toFlag(), jsonFlag(),
			&cli.BoolFlag{Name: "raw", Usage: "leave escape sequences in the lines; into a file or a pipe alone"}},
		Action: func(c *cli.Context) error {
			o := logsOptions{file: c.String("file"), to: c.String("to"), names: c.Args().Slice(), follow: c.Bool("follow"), lines: c.Int("lines"),
				since: c.Duration("since"), asJSON: c.Bool("json"), raw: c.Bool("raw")}
			if err := wantArgs(c, 0, len(o.names)); err != nil {
				return err
			}
			if err := o.check(c, std); err != nil {
				return err
			}
			return logs(c.Context, std, o)
		},
	}
}

func (o *logsOptions) check(c *cli.Context, std stdio) error {
	switch {
	case o.lines < 0 && c.IsSet("lines"), o.since < 0:
		return &usageError{"--lines and --since are no less than 0", "cattle logs --lines 500 --since 2h"}
	case o.raw && std.outTTY:
		return &usageError{"--raw would let a log move your cursor", "cattle logs --raw > FILE"}
	case o.lines < 0 && o.since > 0:
		o.lines = manyLines
	case o.lines < 0:
		o.lines = someLines
	}
	return nil
}

// logs shows what there is and, to follow, what comes.
func logs(ctx context.Context, std stdio, o logsOptions) error {
	std.remedy.isNone()
	t, err := reach(ctx, std, o.file, o.to)
	if err != nil {
		return err
	}
	f := &following{std: std, o: o, target: t, out: &logPrinter{std: std, asJSON: o.asJSON, raw: o.raw}}
	defer func() { f.target.close() }()
	since := time.Time{}
	if o.since > 0 {
		since = t.o.Cloud.Now().Add(-o.since)
	}
	if err := f.open(ctx, o.lines, since); err != nil || !o.follow {
		return unread(err)
	}
	err = f.follow(ctx)
	if ctx.Err() != nil {
		return std.enough()
	}
	return unread(err)
}

// unread is no error of ours: who read has enough, as behind `| head`.
func unread(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}
