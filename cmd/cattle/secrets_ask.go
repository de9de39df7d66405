package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"cattle/secrets"
)

// maxValue is the largest value that is read, in bytes: all secrets together
// have to fit into 64 KiB of user-data.
const maxValue = 64 << 10

// askSecret reads the value of a secret: in a terminal it asks, without echo;
// else it is standard input, without the line break that most programs end
// their output with.
func askSecret(ctx context.Context, std stdio, name string) (secrets.String, error) {
	text, err := typedSecret(ctx, std, "value of "+name+", not shown: ")
	if errors.Is(err, errNoTerminal) {
		text, err = pipedSecret(std)
	}
	if err == nil && text == "" {
		err = &usageError{"no value was given for " + name, "cattle secrets set " + name + ", or cattle secrets rm " + name}
	}
	return secrets.NewString(text), err
}

var errNoTerminal = errors.New("standard input is no terminal")

func pipedSecret(std stdio) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(std.in, maxValue+1))
	if err != nil {
		return "", fmt.Errorf("read the value: %w", err)
	}
	if len(raw) > maxValue {
		return "", &usageError{"the value is larger than 64 KiB", "put what is large into the image of a service"}
	}
	text := strings.TrimSuffix(string(raw), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

// typedSecret asks without echo. The read cannot be ended, so an interrupt
// leaves it behind and gives the terminal its echo back.
func typedSecret(ctx context.Context, std stdio, question string) (string, error) {
	in, isFile := std.in.(*os.File)
	if !std.inTTY || !isFile {
		return "", errNoTerminal
	}
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", errNoTerminal
	}
	defer term.Restore(fd, before)
	fmt.Fprint(std.err, question)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		fmt.Fprintln(std.err)
		if errors.Is(a.err, io.EOF) { // Ctrl-D: no value
			a.err = nil
		}
		return string(a.text), a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
