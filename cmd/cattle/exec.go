package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"cattle/droplets/look"
)

func execCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a service's container", ArgsUsage: "SERVICE COMMAND...", OnUsageError: usage,
		Description: "The command sees what the service sees: its files, its network, its environment with the secrets. It gets your\n" +
			"terminal if you sit at one, else what comes in by a pipe. The exit status is the command's.\n\n" +
			"    cattle exec web sh\n" +
			"    cattle exec db psql --username app\n" +
			"    cattle exec web sh -c 'env | cut -d= -f1'\n" +
			"    cattle exec --user root web ls -l /data",
		Flags: []cli.Flag{fileFlag(), toFlag(),
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "run it as `USER`, a name or an id in the container"}},
		Action: func(c *cli.Context) error {
			words := c.Args().Slice()
			if len(words) > 1 && words[1] == "--" {
				words = append(words[:1], words[2:]...)
			}
			if len(words) < 2 {
				return &usageError{"exec needs SERVICE COMMAND...", "cattle exec web sh"}
			}
			return execIn(c.Context, std, c.String("file"), c.String("to"), c.String("user"), words[0], words[1:])
		},
	}
}

func execIn(ctx context.Context, std stdio, file, to, user, service string, words []string) error {
	t, err := reach(ctx, std, file, to)
	if err != nil {
		return err
	}
	defer t.close()
	container, err := t.service(ctx, service)
	if err != nil {
		return err
	}
	return t.session(ctx, std, func(terminal bool) string { return look.Exec(container, user, terminal, words) })
}
