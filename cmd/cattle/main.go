// Command cattle runs a small site on DigitalOcean, where every release is a
// fresh droplet and the reserved IP moves to it.
package main

import (
	"os"

	"golang.org/x/term"

	_ "cattle/cmd/cattle/heap"
)

func main() {
	std := newStdio(os.Stdin, os.Stdout, os.Stderr)
	std.env = os.Getenv
	std.inTTY, std.outTTY = term.IsTerminal(int(os.Stdin.Fd())), term.IsTerminal(int(os.Stdout.Fd()))
	std.errTTY = term.IsTerminal(int(os.Stderr.Fd()))
	std.size = func() (int, int) { w, h, _ := term.GetSize(int(os.Stderr.Fd())); return w, h }
	std = std.fitForCI()
	std.remedy = &remedy{}
	ctx, stop := interruptible(std)
	code := run(ctx, os.Args, std)
	stop()
	os.Exit(code)
}
