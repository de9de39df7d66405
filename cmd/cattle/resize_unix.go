//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"cattle/droplets"
)

// resizes tells the size of a terminal each time that it changes.
func resizes(fd int) (<-chan droplets.TerminalSize, func()) {
	signals := make(chan os.Signal, 1)
	sizes := make(chan droplets.TerminalSize, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		defer close(sizes)
		for range signals {
			if columns, rows, err := term.GetSize(fd); err == nil {
				sizes <- droplets.TerminalSize{Columns: columns, Rows: rows}
			}
		}
	}()
	return sizes, func() {
		signal.Stop(signals)
		close(signals)
	}
}
