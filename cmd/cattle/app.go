package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// stdio is everything that a command touches of its process.
type stdio struct {
	in            io.Reader
	out, err      io.Writer
	env           func(string) string
	inTTY, errTTY bool
	width         func() int
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first SIGINT or SIGTERM ends, which
// lets the release undo what it did. A second one leaves at once.
func interruptible(std stdio) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		fmt.Fprintln(std.err, "cattle: interrupted: ending in order; interrupt again to leave at once")
		cancel(errInterrupted)
		if _, ok := <-signals; ok {
			fmt.Fprintln(std.err, "cattle: hint: cattle gc cleans up what is left, cattle status shows it")
			os.Exit(exitInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}

// run is the whole program: arguments in, exit status out.
func run(ctx context.Context, args []string, std stdio) int {
	app := newApp(std)
	err := app.RunContext(ctx, args)
	return report(ctx, err, std, slices.Contains(args, "--json"))
}

func newApp(std stdio) *cli.App {
	return &cli.App{
		Name:                   "cattle",
		Usage:                  "release a small site to fresh droplets, and never log in to fix one",
		Version:                version(),
		HideVersion:            true,
		UseShortOptionHandling: true,
		Suggest:                true,
		Writer:                 std.out,
		ErrWriter:              std.err,
		Reader:                 std.in,
		ExitErrHandler:         func(*cli.Context, error) {},
		OnUsageError:           func(_ *cli.Context, err error, _ bool) error { return &usageError{err.Error(), "cattle --help"} },
		CommandNotFound:        func(c *cli.Context, name string) {},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return unknownCommand(c.App, name)
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			checkCommand(std), renderCommand(std), planCommand(std),
			releaseCommand(std), rollbackCommand(std), rebuildCommand(std),
			statusCommand(std), gcCommand(std), destroyCommand(std),
			sandboxCommand(std), demoCommand(std), versionCommand(std),
		},
		CustomAppHelpTemplate: helpTemplate,
	}
}

const helpTemplate = `cattle releases a small site to fresh droplets, and nobody logs in to fix one.

    cattle check               is cattle.yaml right?
    cattle plan v1.2.0         what would a release do, and cost?
    cattle release v1.2.0      a fresh droplet, checked, and the reserved IP moves to it
    cattle rollback            the IP goes back to the standby
    cattle rebuild             the same release on a freshly patched machine
    cattle status              what is live, what is standby, what is left over

Commands:
{{range .VisibleCommands}}    {{join .Names ", "}}{{"\t"}}{{.Usage}}
{{end}}
cattle COMMAND --help says more. Exit status: 0 done and verified; 1 failed; 2 bad
input or profile; 3 not released, the old one serves; 4 released, something is left
over; 130 interrupted.
`

func unknownCommand(app *cli.App, name string) error {
	hint := "cattle --help"
	for _, c := range app.Commands {
		if strings.HasPrefix(c.Name, name[:1]) && len(name) > 2 && strings.HasPrefix(c.Name, name[:3]) {
			hint = "cattle " + c.Name
		}
	}
	return &usageError{fmt.Sprintf("there is no command %q", name), hint}
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return strings.Trim(info.Main.Version, "()")
}

func versionCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print cattle's version", OnUsageError: usage,
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			fmt.Fprintln(std.out, "cattle", version())
			return nil
		},
	}
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
