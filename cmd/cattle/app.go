package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/profiles"
)

// run is the whole program: arguments in, exit status out.
func run(ctx context.Context, args []string, std stdio) int {
	std.crier = &crier{}
	app := newApp(std)
	err := app.RunContext(ctx, args)
	code := report(ctx, err, std, wantsJSON(args))
	return std.crier.tell(ctx, std, err, code, wantsJSON(args))
}

// wantsJSON finds the flag in whatever form it was given, also where the rest
// of the command line makes no sense.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		name, value, given := strings.Cut(strings.TrimLeft(a, "-"), "=")
		return strings.HasPrefix(a, "-") && name == "json" && (!given || value == "true" || value == "1")
	})
}

func newApp(std stdio) *cli.App {
	app := &cli.App{
		Name:                   "cattle",
		Usage:                  "release a small site to fresh droplets, and never log in to fix one",
		Description:            firstCommands,
		Version:                version(),
		HideVersion:            true,
		UseShortOptionHandling: true,
		Writer:                 std.out,
		ErrWriter:              std.err,
		Reader:                 std.in,
		ExitErrHandler:         func(*cli.Context, error) {},
		OnUsageError:           func(_ *cli.Context, err error, _ bool) error { return &usageError{err.Error(), "cattle --help"} },
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return unknownCommand(c.App, name)
			}
			return cli.ShowAppHelp(c)
		},
		Flags: []cli.Flag{cli.HelpFlag}, // the library adds it with its own help command alone
		Commands: []*cli.Command{
			initCommand(std), secretsCommand(std), checkCommand(std), renderCommand(std), planCommand(std),
			releaseCommand(std), rollbackCommand(std), rebuildCommand(std), scheduleCommand(std), notifyCommand(std), unpinCommand(std), bakeCommand(std),
			statusCommand(std), historyCommand(std), backupCommand(std), backupsCommand(std), restoreCommand(std), logsCommand(std), execCommand(std), cpCommand(std), sshCommand(std), gcCommand(std), destroyCommand(std),
			sandboxCommand(std), demoCommand(std), rehearseCommand(std), doctorCommand(std), explainCommand(std),
			completionCommand(std), completeCommand(std), manCommand(std), versionCommand(std), helpCommand(std),
		},
	}
	dress(app)
	return app
}

func unknownCommand(app *cli.App, name string) error {
	var names []string
	for _, c := range app.VisibleCommands() {
		names = append(names, c.Name)
	}
	hint := "cattle --help"
	if near, ok := profiles.Nearest(name, names); ok {
		hint = "did you mean cattle " + near + "?"
	}
	return &usageError{fmt.Sprintf("there is no command %q", name), hint}
}

// usage makes a wrong flag a usageError with the command's own help as hint.
func usage(c *cli.Context, err error, _ bool) error {
	return &usageError{err.Error(), c.Command.HelpName + " --help"}
}

// wantArgs checks the number of arguments. A flag behind an argument is taken
// for one by the flag parser; it gets a hint of its own.
func wantArgs(c *cli.Context, least, most int) error {
	args := c.Args().Slice()
	for i, a := range args {
		if i > 0 && len(a) > 1 && a[0] == '-' {
			return &usageError{fmt.Sprintf("the flag %s comes before %s", a, args[0]),
				c.Command.HelpName + " " + strings.Join(args[i:], " ") + " " + strings.Join(args[:i], " ")}
		}
	}
	switch {
	case len(args) < least:
		return &usageError{c.Command.Name + " needs " + c.Command.ArgsUsage, c.Command.HelpName + " " + "v1.2.0"}
	case len(args) > most:
		return &usageError{fmt.Sprintf("%s takes no argument %q", c.Command.Name, args[most]), c.Command.HelpName + " --help"}
	}
	return nil
}
