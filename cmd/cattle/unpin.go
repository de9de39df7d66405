package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"
)

func unpinCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "unpin", Usage: "let rebuilds replace what cattle rollback went back to", OnUsageError: usage,
		Description: "    cattle unpin",
		Flags:       []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return unpin(c.Context, std, c.String("file"), c.Bool("json"))
		},
	}
}

func unpin(ctx context.Context, std stdio, file string, asJSON bool) error {
	o, site, w, err := survey(ctx, std, file, false)
	if err != nil {
		return err
	}
	unpinned, err := o.Unpin(ctx, w)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "unpin", "app": site.App, "unpinned": len(unpinned)})
	}
	if len(unpinned) == 0 {
		return say(std.out, site.App+" is not pinned\n")
	}
	return say(std.out, fmt.Sprintf("%s is not pinned any more: rebuilds go on from %s\n", site.App, orNone(w.Serving())))
}
