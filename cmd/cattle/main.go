// Command cattle runs a small site on DigitalOcean, where every release is a
// fresh droplet and the reserved IP moves to it.
package main

import (
	"os"

	"golang.org/x/term"
)

func main() {
	std := stdio{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv,
		inTTY: term.IsTerminal(int(os.Stdin.Fd())), errTTY: term.IsTerminal(int(os.Stderr.Fd())),
		width:  func() int { w, _, _ := term.GetSize(int(os.Stderr.Fd())); return w },
		remedy: &remedy{},
	}
	ctx, stop := interruptible(std)
	code := run(ctx, os.Args, std)
	stop()
	os.Exit(code)
}
