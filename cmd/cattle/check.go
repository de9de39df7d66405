package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"cattle/profiles"
	"cattle/secrets"
)

// placeholder stands for the version where none is known yet.
const placeholder = "v0.0.0"

func checkCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "find every fault of the profile and of the files that it names", OnUsageError: usage,
		Description: "    cattle check\n" +
			"    cattle check --strict  # in CI: warnings are faults\n" +
			"    cattle check --json",
		Flags: []cli.Flag{fileFlag(), jsonFlag(),
			&cli.BoolFlag{Name: "strict", Usage: "take warnings for faults"},
			&cli.BoolFlag{Name: "schema", Usage: "print the JSON Schema of cattle.yaml, for editors, and check nothing"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("schema") {
				return schema(std)
			}
			return check(c.Context, std, c.String("file"), c.Bool("strict"), c.Bool("json"))
		},
	}
}

func check(ctx context.Context, std stdio, path string, strict, asJSON bool) error {
	p, faults := profiles.Load(path, profiles.Options{SecretNames: secrets.Names})
	if faults.HasErrors() || strict && len(faults) > 0 {
		return faults
	}
	if err := printFaults(std, faults, asJSON); err != nil {
		return err
	}
	size, err := userDataSize(ctx, p)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(std.out, map[string]any{"message_type": "result", "profile": path, "user_data_bytes": size})
	}
	fmt.Fprintf(std.out, "%s is right: user-data takes %d of 65536 bytes\n", path, size)
	return nil
}

// userDataSize renders with a throw-away identity. The secrets ride as they
// are, sealed for the operators: opening them would need a key, and a seal for
// one droplet is never larger.
func userDataSize(ctx context.Context, p *profiles.Profile) (int, error) {
	id, err := newIdentity()
	if err != nil {
		return 0, err
	}
	sealed, err := unopened(p)
	if err != nil {
		return 0, err
	}
	u, err := renderUserData(ctx, p, placeholder, id, sealed, nil, nil)
	if err != nil {
		return 0, err
	}
	return len(u.Bytes()), nil
}
