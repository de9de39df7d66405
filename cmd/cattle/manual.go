package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/manual"
)

// topicOf is what the commands say of themselves, for help, man page and
// completion. Hidden ones are left out.
func topicOf(app *cli.App) manual.Topic {
	root := manual.Topic{Name: app.Name, Usage: app.Usage, Text: app.Description}
	for _, c := range app.Commands {
		if !c.Hidden {
			root.Topics = append(root.Topics, topicOfCommand(app.Name, c))
		}
	}
	return root
}

func topicOfCommand(above string, c *cli.Command) manual.Topic {
	t := manual.Topic{Name: above + " " + c.Name, Usage: c.Usage, Args: c.ArgsUsage, Text: c.Description}
	for _, f := range c.Flags {
		t.Flags = append(t.Flags, topicOfFlag(t.Name, f))
	}
	for _, s := range c.Subcommands {
		if !s.Hidden && s.Name != "help" {
			t.Topics = append(t.Topics, topicOfCommand(t.Name, s))
		}
	}
	return t
}

// choices are the values of flags that take no others, by command.
func choices(command, flag string) []string {
	switch command + " --" + flag {
	case "cattle render --format":
		return []string{"user-data", "files", "iso"}
	case "cattle sandbox --latency":
		return []string{"none", "fast", "real"}
	case "cattle sandbox --machines":
		return []string{machinesStub, machinesNspawn}
	}
	return nil
}

func topicOfFlag(command string, f cli.Flag) manual.Flag {
	out := manual.Flag{Names: f.Names(), Choices: choices(command, f.Names()[0])}
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return out
	}
	value, says := valueName(doc.GetUsage())
	out.Usage = says
	if !doc.TakesValue() {
		return out
	}
	out.Value = value
	if d, ok := f.(interface{ GetDefaultText() string }); ok && notable(d.GetDefaultText()) {
		out.Default = strings.Trim(d.GetDefaultText(), `"`)
	}
	if env := doc.GetEnvVars(); len(env) > 0 {
		out.Env = env[0]
	}
	return out
}

// valueName is the word of a flag's usage that is in backquotes, and the
// usage without them.
func valueName(says string) (value, plain string) {
	before, rest, found := strings.Cut(says, "`")
	value, after, closed := strings.Cut(rest, "`")
	if !found || !closed {
		return "VALUE", says
	}
	return value, before + value + after
}

// notable tells whether a default is one: none is a number's or a time's zero.
func notable(text string) bool { return !slices.Contains([]string{"", "0", "0s", `""`, "[]"}, text) }

// dress gives every command its help, in place of the library's.
func dress(app *cli.App) {
	root := topicOf(app)
	app.CustomAppHelpTemplate = literally(manual.Overview(root, overviewFoot))
	var each func([]*cli.Command, ...string)
	each = func(commands []*cli.Command, path ...string) {
		for _, c := range commands {
			words := append(slices.Clone(path), c.Name)
			if t, ok := root.Find(words...); ok {
				c.CustomHelpTemplate = literally(manual.Help(t))
			}
			each(c.Subcommands, words...)
		}
	}
	each(app.Commands)
}

// literally is a template that is the text.
func literally(text string) string { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }

// firstCommands is the way through them that a new user goes.
const firstCommands = `    cattle init             the first cattle.yaml, from what the folder has
    cattle check            is cattle.yaml right?
    cattle plan v1.2.0      what would a release do, and cost?
    cattle rehearse v1.2.0  all of it on machines that boot here
    cattle release v1.2.0   a fresh droplet, checked, and the reserved IP moves
    cattle rollback         the IP goes back to the standby
    cattle rebuild          the same release on a freshly patched machine
    cattle status           what is live, what is standby, what is left over
    cattle history          who released what when, and how it went
`

const overviewFoot = "cattle help COMMAND says more. Exit status: 0 done and verified; 1 failed; 2 bad input or profile; " +
	"3 not released, the old one serves; 4 it serves, something needs you; 130 interrupted."

func helpCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "say more about a command, with examples", ArgsUsage: "[COMMAND...]", OnUsageError: usage,
		Description: "    cattle help release\n" +
			"    cattle help secrets set",
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return cli.ShowAppHelp(c)
			}
			t, found := topicOf(c.App).Find(c.Args().Slice()...)
			if !found {
				return unknownTopic(t, c.Args().Slice())
			}
			return say(std.out, manual.Help(t))
		},
	}
}

// unknownTopic is the fault of words that are no command; t is the last one
// that is.
func unknownTopic(t manual.Topic, words []string) error {
	return &usageError{fmt.Sprintf("there is no command %q", strings.Join(words, " ")), t.Name + " --help"}
}
