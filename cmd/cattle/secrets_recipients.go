package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/secrets"
)

func recipientsCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "recipients", Usage: "show and change who can read the file", OnUsageError: usage,
		Description: "Without a verb it lists them; no key is needed for that. Keys of other kinds than age and SSH are shown and kept.\n\n" +
			"    cattle secrets recipients\n" +
			"    cattle secrets recipients add age1…\n" +
			"    cattle secrets recipients remove age1…",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
		Subcommands: []*cli.Command{
			recipientVerb(std, "add", "let a public key of age or SSH read the file", (*secrets.Unlocked).AddRecipient),
			recipientVerb(std, "remove", "take one out, under a fresh data key; what it has read stays read", (*secrets.Unlocked).RemoveRecipient),
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return listRecipients(std, c.String("file"), c.Bool("json"))
		},
	}
}

func listRecipients(std stdio, profile string, asJSON bool) error {
	path, _, err := secretsFile(profile)
	if err != nil {
		return err
	}
	f, err := secrets.Read(path)
	if err != nil {
		return err
	}
	all, err := f.Recipients()
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "secrets recipients", "file": path, "recipients": all})
	}
	var b strings.Builder
	for _, r := range all {
		line := r.Name
		if r.Kind != "age" {
			line = r.Kind + " " + line
		}
		if r.Yours {
			line += "   (your key)"
		}
		fmt.Fprintln(&b, line)
	}
	return say(std.out, b.String())
}

func recipientVerb(std stdio, name, says string, do func(*secrets.Unlocked, string) (bool, error)) *cli.Command {
	return &cli.Command{
		Name: name, Usage: says, ArgsUsage: "RECIPIENT", OnUsageError: usage,
		Description: "    cattle secrets recipients " + name + " age1…",
		Flags:       []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return &usageError{"recipients " + name + " needs a public key", "cattle secrets recipients " + name + " age1…"}
			}
			path, _, err := secretsFile(c.String("file"))
			if err != nil {
				return err
			}
			who := strings.Join(c.Args().Slice(), " ") // an SSH key has spaces
			return change(path, secrets.Unlock, func(u *secrets.Unlocked) error {
				changed, err := do(u, who)
				if err == nil && changed {
					err = u.Save()
				}
				if err != nil {
					return err
				}
				rule, byHand, err := keepRule(path, name, who)
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "secrets recipients", "file": path, "changed": changed, "rule": rule, "by_hand": byHand})
				}
				return say(std.out, recipientText(name, path, rule, who, changed, u.Names())+byHand)
			})
		},
	}
}

// keepRule keeps .sops.yaml in step, and names it if it was changed. byHand
// says what is left to the operator where it is not that simple.
func keepRule(path, verb, who string) (rule, byHand string, err error) {
	add, remove := who, ""
	if verb == "remove" {
		add, remove = "", who
	}
	rule, changed, err := secrets.UpdateRule(path, add, remove)
	switch {
	case errors.Is(err, secrets.ErrRule):
		return "", fmt.Sprintf("%s was left as it is: %v; %s it there by hand, for files that are made later\n", rule, err, verb), nil
	case err != nil || !changed:
		return "", "", err
	}
	return rule, "", nil
}

func recipientText(verb, path, rule, who string, changed bool, names []string) string {
	files := path
	if rule != "" {
		files += " and " + secrets.RuleFile
	}
	switch {
	case !changed && rule == "":
		return path + ": nothing was to be done\n"
	case verb == "add":
		return fmt.Sprintf("%s can read %s now; commit %s\n", who, path, files)
	}
	return fmt.Sprintf("%s cannot read %s from now on; commit %s\n"+
		"What it could read it knows, and older commits still open for it: change the values where they are used,\n"+
		"and then each here: %s\n", who, path, files, "cattle secrets set "+strings.Join(names, ", cattle secrets set "))
}
