package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"cattle/droplets"
	"cattle/droplets/look"
)

const (
	// liveEvery is how often a command that follows the live droplet asks the
	// API which one that is: 360 requests of an hour's 5,000.
	liveEvery = 10 * time.Second
	// againAfter is the pause before a droplet that is not there is tried again.
	againAfter = 3 * time.Second
)

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
		return &usageError{fmt.Sprintf("%s has no log %q", f.target.member.Name, none.Name), "it has: " + strings.Join(none.Have, ", ")}
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
		case <-time.After(liveEvery):
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
			f.out.notice(t.member.Name + " is " + f.o.to + " now; its log follows")
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
		case <-time.After(againAfter):
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
