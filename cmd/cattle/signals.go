package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"cattle/cmd/cattle/terminal"
)

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first signal ends, which lets a
// release undo what it did; a second one leaves at once. A terminal that is
// closed (SIGHUP) is an interrupt like any other. A reader that goes away
// (SIGPIPE, as behind `| head`) is none: the release goes on without it.
func interruptible(std stdio) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		if !std.remedy.needless() {
			std.interrupted("ending in order; interrupt again to leave at once")
		}
		cancel(errInterrupted)
		if _, ok := <-signals; ok {
			std.interrupted("left at once; " + std.remedy.String())
			os.Exit(exitInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// interrupted tells on a line of its own, whatever a printer has drawn there.
func (std stdio) interrupted(what string) {
	clear := ""
	if std.errTTY {
		clear = terminal.Interrupt
	}
	fmt.Fprintf(std.raw.err, "%scattle: interrupted: %s\n", clear, what)
}

// A remedy is the command that cleans up after this one, should it be left in
// this very moment. It changes while the command goes on; nil, or as long as
// none is set, nothing has been touched.
type remedy struct {
	mu      sync.Mutex
	command string
	none    bool
}

// isNone says that this command only looks: an interrupt is how it is ended,
// and there is nothing to tell of it.
func (r *remedy) isNone() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.none = true
}

func (r *remedy) needless() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.none
}

// is sets the command. It may be called from several goroutines.
func (r *remedy) is(command string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command = command
}

func (r *remedy) String() string {
	if r == nil {
		return "nothing was changed"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.command == "" {
		return "nothing was changed"
	}
	return "now type: " + r.command
}
