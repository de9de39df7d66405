package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"cattle/cmd/cattle/editor"
	"cattle/secrets"
)

func secretsEditCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "edit", Usage: "all names and values in your editor", OnUsageError: usage,
		Description: "Opens $VISUAL, else $EDITOR, else vim, nano or vi, on a file in memory that is gone when the editor ends.\n" +
			"Where there is no folder in memory, as on macOS, it refuses: cattle secrets set does the same, one by one.\n\n" +
			"    cattle secrets edit",
		Flags: []cli.Flag{fileFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			path, _, err := secretsFile(c.String("file"))
			if err != nil {
				return err
			}
			return change(path, secrets.UnlockOrMake, func(u *secrets.Unlocked) error {
				done, err := editUntilSound(c.Context, std, u)
				switch {
				case err != nil:
					return err
				case done == nil:
					return told(std, c.Bool("json"), path, secrets.Change{}, path+": nothing was changed\n")
				}
				if err := u.Save(); err != nil {
					return err
				}
				return told(std, c.Bool("json"), path, *done, fmt.Sprintf("%s: %s\n", path, describe(done)))
			})
		},
	}
}

// editUntilSound opens the editor, and again on the same text as long as that
// has a fault and somebody is there to mend it. It is nil when nothing changed.
func editUntilSound(ctx context.Context, std stdio, u *secrets.Unlocked) (*secrets.Change, error) {
	text, err := u.Text()
	if err != nil {
		return nil, err
	}
	desk, err := editor.Open(editor.Folders(std.env))
	if err != nil {
		return nil, editFailure(err)
	}
	defer desk.Close()
	for {
		edited, err := edit(ctx, std, desk, filepath.Base(u.Path), text)
		if err != nil {
			return nil, editFailure(err)
		}
		done, err := u.SetText(edited)
		if err == nil || !std.inTTY {
			return done, err
		}
		text = edited
		_, failures := diagnose(err)
		failures[0].print(std.err)
		if err := pause(ctx, std, "Enter opens the editor again, Ctrl-C leaves the file as it was: "); err != nil {
			return nil, err
		}
	}
}

// edit runs the editor once. One that is ended from outside leaves the
// terminal as it found it only by luck.
func edit(ctx context.Context, std stdio, desk *editor.Desk, name string, text secrets.String) (secrets.String, error) {
	if in, isFile := std.in.(*os.File); std.inTTY && isFile {
		if before, err := term.GetState(int(in.Fd())); err == nil {
			defer term.Restore(int(in.Fd()), before)
		}
	}
	streams := editor.Streams{In: std.in, Out: std.raw.out, Err: std.raw.err}
	edited, err := desk.Edit(ctx, std.env, streams, name, []byte(text.Reveal()))
	return secrets.NewString(string(edited)), err
}

func editFailure(err error) error {
	switch {
	case errors.Is(err, editor.ErrNoMemory):
		return &usageError{err.Error(), "cattle secrets set NAME, for each one"}
	case errors.Is(err, editor.ErrNone):
		return &usageError{err.Error(), "export EDITOR=nano, or cattle secrets set NAME"}
	}
	return fmt.Errorf("nothing was changed: %w", err)
}

// pause waits for a line or for the interrupt.
func pause(ctx context.Context, std stdio, question string) error {
	fmt.Fprint(std.err, question)
	_, err := readLine(ctx, bufio.NewReader(std.in))
	return err
}

// describe tells a change by the names.
func describe(c *secrets.Change) string {
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"added", c.Added}, {"changed", c.Changed}, {"removed", c.Removed}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+" "+strings.Join(p.names, ", "))
		}
	}
	if len(parts) == 0 {
		return "no value was changed, only order or comments"
	}
	return strings.Join(parts, "; ")
}
