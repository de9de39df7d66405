package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/page"
	"cattle/droplets/release"
	"cattle/profiles"
)

func reportFlag() cli.Flag {
	return &cli.StringFlag{Name: "report", Usage: "write a page to look at into `FILE.html`: timeline, charts, what changed; also when it fails"}
}

// withPage is a command's action after which the page that --report asks for is
// written, whatever came of it.
func withPage(std stdio, action func(stdio, *cli.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		path := c.String("report")
		if path == "" {
			return action(std, c)
		}
		// A page that could not be written is told before anything is made.
		f, err := openPage(c, path)
		if err != nil {
			return err
		}
		defer f.Close()
		std.record = page.NewRecord(c.Command.Name, version())
		err = action(std, c)
		return pageWritten(std, f, std.record, c, err)
	}
}

// openPage opens the file and leaves what is in it. Its mode is an ordinary
// one: nothing is in a page that was not printed.
func openPage(c *cli.Context, path string) (*os.File, error) {
	if ext := strings.ToLower(filepath.Ext(path)); ext != ".html" && ext != ".htm" {
		return nil, &usageError{fmt.Sprintf("--report wants the name of a page, FILE.html, not %q", path), c.Command.HelpName + " --report report.html"}
	}
	if c.Bool("dry-run") {
		return nil, &usageError{"--report shows what came of a run, and --dry-run makes none", "leave one of them out"}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, &usageError{"--report: " + err.Error(), "name a file in a folder that exists and may be written"}
	}
	return f, nil
}

// pageWritten writes the page of a command that ended with err. A release that
// serves is done, page or not; that there is none is left over.
func pageWritten(std stdio, f *os.File, r *page.Record, c *cli.Context, err error) error {
	failed := writePage(f, r, outcomeOf(c.Context, err))
	switch {
	case failed != nil && err == nil:
		return &release.Incomplete{Leftovers: []release.Leftover{{What: "the page " + f.Name(), Err: failed, Command: "cattle status"}}}
	case c.Bool("json"):
	case failed != nil:
		fmt.Fprintf(std.err, "cattle: error: the page %s could not be written: %v\n", f.Name(), failed)
	default:
		fmt.Fprintf(std.err, "the page to look at is %s\n", f.Name())
	}
	return err
}

// writePage renders first: a page is whole, or the one that was there stays.
func writePage(f *os.File, r *page.Record, o page.Outcome) error {
	var b bytes.Buffer
	if err := r.Write(&b, o); err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Write(b.Bytes())
	return errors.Join(err, f.Close())
}

// outcomeOf is how a command ended, as it is printed too.
func outcomeOf(ctx context.Context, err error) (o page.Outcome) {
	var failures []failure
	o.Status, failures = endOf(ctx, err)
	var faults profiles.Diagnostics
	if errors.As(err, &faults) {
		for _, d := range faults {
			o.Failures = append(o.Failures, page.Failure{Msg: d.String(), Hint: d.Hint})
		}
	}
	for _, f := range failures {
		o.Failures = append(o.Failures, page.Failure{Msg: f.Msg, Hint: f.Hint, Tail: f.Tail})
	}
	var refused *release.Refused
	var preflight *release.Preflight
	switch {
	case errors.As(err, &refused):
		o.Serving = refused.Serving
	case errors.As(err, &preflight):
		o.Serving = preflight.Serving
	}
	return o
}
