package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"cattle/cloudinit"
	"cattle/profiles"
	"cattle/secrets"
)

func renderCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "render", Usage: "print the user-data of a release, or lay it out to read or to boot",
		ArgsUsage: "VERSION", OnUsageError: usage,
		Description: "Nothing is asked of the cloud or of a registry, so images are not pinned to digests.\n\n" +
			"    cattle render v1.2.0\n" +
			"    cattle render --format files -o tree v1.2.0  # to read\n" +
			"    cattle render --format iso -o seed.iso v1.2.0  # to boot in any machine",
		Flags: []cli.Flag{fileFlag(),
			&cli.StringFlag{Name: "format", Value: "user-data", Usage: "user-data, files (a folder to read) or iso (a NoCloud seed image)"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "the `FILE` or folder to write; user-data goes to standard output without it"},
			&cli.StringFlag{Name: "identity", Usage: "a `FILE` that keeps the attempt's id and keys (made if it is not there): the same input then renders to the same bytes"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1); err != nil {
				return err
			}
			return render(c.Context, std, renderOptions{c.String("file"), c.Args().First(), c.String("format"), c.String("output"), c.String("identity")})
		},
	}
}

type renderOptions struct{ file, version, format, output, identity string }

func render(ctx context.Context, std stdio, opts renderOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	p, err := loadProfile(std, opts.file, false)
	if err != nil {
		return err
	}
	id, err := newIdentity()
	if opts.identity != "" {
		id, err = loadIdentity(opts.identity)
	}
	if err != nil {
		return err
	}
	sealed, err := seal(p, id)
	if err != nil {
		return err
	}
	u, err := renderUserData(ctx, p, opts.version, id, sealed, nil, nil)
	if err != nil {
		return err
	}
	if opts.identity != "" {
		if err := id.save(opts.identity); err != nil {
			return err
		}
	} else if sealed != nil {
		fmt.Fprintln(std.err, "cattle: the key to these secrets is not kept: to boot this, render with --identity FILE")
	}
	return opts.write(std, u)
}

func (opts renderOptions) check() error {
	if err := validVersion(opts.version); err != nil {
		return err
	}
	switch opts.format {
	case "user-data":
		return nil
	case "files", "iso":
		if opts.output == "" {
			return &usageError{"--format " + opts.format + " needs a place to write to", "cattle render --format " + opts.format + " -o seed " + opts.version}
		}
		return nil
	}
	return &usageError{"there is no format " + opts.format, "cattle render --format user-data|files|iso VERSION"}
}

func (opts renderOptions) write(std stdio, u *cloudinit.UserData) error {
	switch {
	case opts.format == "files":
		if left, _ := os.ReadDir(opts.output); len(left) > 0 {
			return &usageError{opts.output + " is not empty: what is in it would look like part of this release", "cattle render --format files -o NEW-FOLDER " + opts.version}
		}
		return u.WriteTree(opts.output)
	case opts.output == "":
		_, err := std.raw.out.Write(u.Bytes())
		return err
	}
	return replace(opts.output, func(f io.Writer) error {
		if opts.format == "iso" {
			return u.WriteISO(f)
		}
		_, err := f.Write(u.Bytes())
		return err
	})
}

// replace puts a whole new file, mode 0600, in the place of path: what is
// written holds keys, and an old file may be open to everybody.
func replace(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		os.Remove(f.Name())
		return err
	}
	return os.Rename(f.Name(), path)
}

// unopened are the secrets as the operators' file has them: the size of
// user-data can be told without any key.
func unopened(p *profiles.Profile) (*cloudinit.Sealed, error) {
	if p.Secrets.File == "" {
		return nil, nil
	}
	f, err := secrets.Read(p.Secrets.File)
	if err != nil {
		return nil, err
	}
	return &cloudinit.Sealed{Bytes: f.Bytes(), Format: string(f.Format), Names: f.Names}, nil
}

func validVersion(v string) error {
	if err := profiles.ValidRelease(v); err != nil {
		return &usageError{err.Error(), "name it like v1.2.0, 2026-11-21 or release/1.2+build5"}
	}
	return nil
}
