package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/look"
	"cattle/droplets/release"
)

const (
	// someLines are shown where neither --lines nor --since is given, and at
	// most manyLines of those since a time.
	someLines, manyLines = 100, 10_000
	// liveEvery is how often a command that follows the live droplet asks the
	// API which one that is: 360 requests of an hour's 5,000.
	liveEvery = 10 * time.Second
	// againAfter is the pause before a droplet that is not there is tried again.
	againAfter = 3 * time.Second
)

type logsOptions struct {
	file, to     string
	names        []string
	follow       bool
	lines        int // -1: not given
	since        time.Duration
	asJSON, raw  bool
	liveEvery    time.Duration
	againAfterIt time.Duration
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
			&cli.StringFlag{Name: "file", Value: "cattle.yaml", EnvVars: []string{"CATTLE_FILE"}, Usage: "the profile"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what comes"},
			&cli.IntFlag{Name: "lines", Aliases: []string{"n"}, Value: -1, DefaultText: "100, or 10000 with --since", Usage: "the newest `LINES` at most, of all names together"},
			&cli.DurationFlag{Name: "since", Usage: "none that is older: `90s, 15m, 2h`"},
			toFlag(), jsonFlag(),
			&cli.BoolFlag{Name: "raw", Usage: "leave escape sequences in the lines; into a file or a pipe alone"}},
		Action: func(c *cli.Context) error {
			o := logsOptions{file: c.String("file"), to: c.String("to"), names: c.Args().Slice(), follow: c.Bool("follow"), lines: c.Int("lines"),
				since: c.Duration("since"), asJSON: c.Bool("json"), raw: c.Bool("raw"), liveEvery: liveEvery, againAfterIt: againAfter}
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
		return &remoteExit{exitInterrupted}
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

// A following is the logs of one droplet after another.
type following struct {
	std    stdio
	o      logsOptions
	target *target
	logs   *look.Logs
	of     int // the id of the droplet that these are of
	out    *logPrinter
	seen   time.Time // when the target was last known to be live, by the cloud's clock
}

// open finds the logs on the target and prints their newest lines.
func (f *following) open(ctx context.Context, lines int, since time.Time) error {
	all, err := look.OpenLogs(ctx, f.target.machine, f.target.site.App, f.o.names)
	var none *look.NoLogError
	if errors.As(err, &none) {
		return &usageError{fmt.Sprintf("%s has no log %q", f.target.member.Name, none.Name), "it has: " + wordList(none.Have)}
	}
	if err != nil {
		return err
	}
	f.seen = f.target.o.Cloud.Now()
	entries, more, err := all.Backlog(ctx, f.target.machine, lines, since)
	if err != nil {
		return err
	}
	f.logs, f.of = all, f.target.member.ID
	f.out.names, f.out.droplet = all.Names, f.target.member.Name
	if more && !since.IsZero() {
		f.out.notice(fmt.Sprintf("there are older lines: --lines %d shows more", lines*10))
	}
	for _, e := range entries {
		f.out.print(e)
	}
	return f.out.err
}

// errSwitched ends the following of a droplet that is live no more.
var errSwitched = errors.New("another droplet is live")

// follow goes on from droplet to droplet, and from connection to connection.
func (f *following) follow(ctx context.Context) error {
	for {
		err := f.followOne(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case f.out.err != nil:
			return f.out.err
		case !errors.Is(err, errSwitched):
			f.out.notice(fmt.Sprintf("the connection to %s was cut; trying again", f.target.member.Name))
		}
		if err := f.again(ctx); err != nil {
			return err
		}
	}
}

// followOne ends with the connection, with a reader who has gone, or when
// another droplet is live.
func (f *following) followOne(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if f.o.to == "live" {
		watching.Go(func() { f.watchLive(ctx, stop) })
	}
	err := f.logs.Follow(ctx, f.target.machine, func(e look.Entry) {
		if f.out.print(e); f.out.err != nil {
			stop(f.out.err)
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (f *following) watchLive(ctx context.Context, stop context.CancelCauseFunc) {
	cloud := f.target.o.Cloud
	for {
		select {
		case <-time.After(f.o.liveEvery):
		case <-ctx.Done():
			return
		}
		ip, err := cloud.ReservedIP(ctx, f.target.world.Reserved.IP)
		switch {
		case err != nil: // of which nothing follows
		case ip.DropletID == f.target.member.ID:
			f.seen = cloud.Now()
		case ip.DropletID != 0:
			stop(errSwitched)
			return
		}
	}
}

// again finds the droplet that is meant now, and goes on with its logs: behind
// the last line, where it is the same one.
func (f *following) again(ctx context.Context) error {
	for {
		t, err := reach(ctx, f.std, f.o.file, f.o.to)
		if err == nil {
			f.target.close()
			if f.target = t; t.member.ID == f.of {
				return nil
			}
			f.out.notice(t.member.Name + " is live now; its log follows")
			if err = f.open(ctx, manyLines, f.seen); err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if final(err) || f.out.err != nil {
			return err
		}
		select {
		case <-time.After(f.o.againAfterIt):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// final tells errors that no waiting mends.
func final(err error) bool {
	var usage *usageError
	var impostor *droplets.HostKeyError
	var auth *droplets.AuthError
	status := droplets.StatusOf(err)
	return errors.As(err, &usage) || errors.As(err, &impostor) || errors.As(err, &auth) ||
		status >= 400 && status < 500 && status != http.StatusTooManyRequests
}

// A logPrinter writes lines in one format, whatever they come from.
type logPrinter struct {
	std         stdio
	asJSON, raw bool
	names       []string
	droplet     string
	err         error // of the first write that failed
}

type logJSON struct {
	Type    string    `json:"message_type"`
	Time    time.Time `json:"time"`
	Droplet string    `json:"droplet"`
	Name    string    `json:"name"`
	Line    string    `json:"line"`
}

func (p *logPrinter) print(e look.Entry) {
	if p.err != nil {
		return
	}
	if p.asJSON {
		p.err = writeJSON(p.std.out, logJSON{"log", e.Time.UTC(), p.droplet, e.Name, e.Line})
		return
	}
	width := 0
	for _, n := range p.names {
		width = max(width, len(n))
	}
	head := fmt.Sprintf("%s %-*s |", e.Time.UTC().Format(time.DateTime), width, e.Name)
	text := e.Line
	if !p.raw {
		head, text = droplets.Line(head), droplets.Printable(text)
	}
	if p.std.outTTY && p.std.env("NO_COLOR") == "" && p.std.env("TERM") != "dumb" {
		head = fmt.Sprintf("\x1b[%dm%s\x1b[0m", p.colour(e.Name), head)
	}
	_, p.err = fmt.Fprintln(p.std.raw.out, head, strings.TrimSuffix(text, "\n"))
}

// colour is one of six that can be told apart on light and on dark.
func (p *logPrinter) colour(name string) int {
	return []int{36, 33, 32, 35, 34, 31}[max(0, slices.Index(p.names, name))%6]
}

// notice tells something that is no line of a log.
func (p *logPrinter) notice(text string) {
	if p.asJSON {
		newPrinter(p.std, true).event(release.Event{Time: time.Now(), Kind: release.KindNotice, Text: text})
		return
	}
	fmt.Fprintf(p.std.err, "cattle: %s\n", text)
}
