package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/profiles"
	"cattle/secrets"
)

func secretsCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "secrets", Usage: "change the profile's encrypted file: values, and who can read them", OnUsageError: usage,
		Description: "The file is SOPS's, named by secrets.file of the profile, else " + profiles.DefaultSecretsFile + " beside it; sops goes on\n" +
			"working with it. Names are shown, values never. A value is never on a command line, and never on a disk.\n\n" +
			"    cattle secrets set DB_PASSWORD             asks for the value, and does not show it\n" +
			"    cattle secrets set DB_PASSWORD < password  takes it from a file or a pipe\n" +
			"    cattle secrets edit                        all of them, in your editor",
		Subcommands: []*cli.Command{
			secretsListCommand(std), secretsSetCommand(std), secretsEditCommand(std), secretsRmCommand(std),
			secretsRotateCommand(std), recipientsCommand(std),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() { // what it is may be a value, so it is not repeated
				return &usageError{"secrets has no such verb", "cattle secrets --help"}
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

func secretsListCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "print the names; no key is needed", OnUsageError: usage,
		Description: "    cattle secrets list\n" +
			"    cattle secrets list --json",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			path, _, err := secretsFile(c.String("file"))
			if err != nil {
				return err
			}
			names, err := secrets.Names(path)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(std.out, map[string]any{"message_type": "result", "verb": "secrets", "file": path, "names": names})
			}
			for _, name := range names {
				fmt.Fprintln(std.out, name)
			}
			return nil
		},
	}
}

func secretsSetCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "set", Usage: "give one secret a value, from standard input or asked for", ArgsUsage: "NAME", OnUsageError: quietUsage,
		Description: "In a terminal the value is asked for and not shown. Else it is all of standard input, without a line break\n" +
			"at its end. There is no way to give it on the command line: the shell's history and every user of the\n" +
			"computer would have it.\n\n" +
			"    cattle secrets set DB_PASSWORD\n" +
			"    cattle secrets set DB_PASSWORD < password",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			name, err := oneName(c)
			if err != nil {
				return err
			}
			value, err := askSecret(c.Context, std, name)
			if err != nil {
				return err
			}
			path, named, err := secretsFile(c.String("file"))
			if err != nil {
				return err
			}
			return change(path, secrets.UnlockOrMake, func(u *secrets.Unlocked) error {
				isNew, had := u.New(), slices.Contains(u.Names(), name)
				changed, err := u.Set(name, value)
				if err == nil && changed {
					err = u.Save()
				}
				if err != nil {
					return err
				}
				return told(std, c.Bool("json"), path, ofSet(name, had, changed), setText(path, name, changed, isNew && !named))
			})
		},
	}
}

func ofSet(name string, had, changed bool) secrets.Change {
	switch {
	case !changed:
		return secrets.Change{}
	case had:
		return secrets.Change{Changed: []string{name}}
	}
	return secrets.Change{Added: []string{name}}
}

func setText(path, name string, changed, unnamed bool) string {
	text := fmt.Sprintf("%s: %s is set\n", path, name)
	if !changed {
		text = fmt.Sprintf("%s: %s has that value already\n", path, name)
	}
	if unnamed {
		text += fmt.Sprintf("the file is new; cattle.yaml names it with: secrets: {file: %s}\n", filepath.Base(path))
	}
	return text
}

func secretsRmCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "take one secret out", ArgsUsage: "NAME", OnUsageError: quietUsage,
		Description: "    cattle secrets rm OLD_TOKEN",
		Flags:       []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			name, err := oneName(c)
			if err != nil {
				return err
			}
			path, _, err := secretsFile(c.String("file"))
			if err != nil {
				return err
			}
			return change(path, secrets.Unlock, func(u *secrets.Unlocked) error {
				if !u.Remove(name) {
					return noSuchSecret(path, name, u.Names())
				}
				if err := u.Save(); err != nil {
					return err
				}
				return told(std, c.Bool("json"), path, secrets.Change{Removed: []string{name}},
					fmt.Sprintf("%s: %s is gone; older commits still have it\n", path, name))
			})
		},
	}
}

func noSuchSecret(path, name string, names []string) error {
	hint := "cattle secrets list"
	if near, ok := profiles.Nearest(name, names); ok {
		hint = "did you mean " + near + "?"
	}
	return &usageError{fmt.Sprintf("%s has no %s", path, name), hint}
}

func secretsRotateCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rotate", Usage: "encrypt all values anew, under a fresh data key", OnUsageError: usage,
		Description: "Whoever kept the old data key cannot open what is written from now on. The values stay as they are: one\n" +
			"that somebody should not know any more is changed where it is used, and then with cattle secrets set.\n\n" +
			"    cattle secrets rotate",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			path, _, err := secretsFile(c.String("file"))
			if err != nil {
				return err
			}
			return change(path, secrets.Unlock, func(u *secrets.Unlocked) error {
				names := u.Names()
				if err := u.Rotate(); err != nil {
					return err
				}
				if err := u.Save(); err != nil {
					return err
				}
				return told(std, c.Bool("json"), path, secrets.Change{Changed: names},
					fmt.Sprintf("%s: %s encrypted anew, under a fresh data key\n", path, count(len(names), "value")))
			})
		},
	}
}

// secretsFile is the file that the profile names. Without a profile, and where
// that names none, it is the usual one beside it, and named is false.
func secretsFile(profile string) (path string, named bool, err error) {
	usual := filepath.Join(filepath.Dir(profile), profiles.DefaultSecretsFile)
	if _, err := os.Stat(profile); errors.Is(err, fs.ErrNotExist) {
		return usual, false, nil
	}
	path, err = profiles.SecretsFile(profile)
	if err != nil || path != "" {
		return path, true, err
	}
	return usual, false, nil
}

// change opens the file for as long as do needs it.
func change(path string, open func(string) (*secrets.Unlocked, error), do func(*secrets.Unlocked) error) error {
	u, err := open(path)
	if err != nil {
		return err
	}
	defer u.Close()
	return do(u)
}

// told says what was done, by names.
func told(std stdio, asJSON bool, path string, done secrets.Change, text string) error {
	if asJSON {
		return writeJSON(std.out, struct {
			Type string `json:"message_type"`
			Verb string `json:"verb"`
			File string `json:"file"`
			secrets.Change
		}{"result", "secrets", path, done})
	}
	return say(std.out, text)
}

// oneName takes the only argument. More than that may be a value, which is not
// repeated.
func oneName(c *cli.Context) (string, error) {
	typed := "cattle secrets " + c.Command.Name
	name, _, hasValue := strings.Cut(c.Args().First(), "=")
	switch {
	case c.NArg() == 0:
		return "", &usageError{typed + " needs the NAME of a secret", typed + " DB_PASSWORD"}
	case secrets.CheckName(name) != nil && c.NArg() == 1 && !hasValue:
		return "", secrets.CheckName(name)
	case c.NArg() > 1 || hasValue:
		return "", &usageError{"nothing was changed: a value on the command line is there for others to read",
			typed + " NAME, which asks for the value; take a new one, since this one is in the shell's history"}
	}
	return name, nil
}

// quietUsage is usage for commands whose flags somebody may take for a value.
func quietUsage(c *cli.Context, _ error, _ bool) error {
	return &usageError{"cattle secrets " + c.Command.Name + " takes a NAME alone", "cattle secrets " + c.Command.Name + " --help"}
}
