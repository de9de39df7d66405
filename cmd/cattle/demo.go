package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/examples"
	"cattle/profiles"
	"cattle/secrets"
)

func demoCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "see it all work on the sandbox: releases, a refused one, a rollback and a rebuild, under load", OnUsageError: usage,
		Description: "    cattle demo",
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return demo(c.Context, std)
		},
	}
}

// The story: the first release makes the reserved IP, the third one is broken.
func demoScenes() []scene {
	return []scene{
		{[]string{"release", "v1.0.0"}, exitDone, "v1.0.0"},
		{[]string{"release", "v1.1.0"}, exitDone, "v1.1.0"},
		{[]string{"release", "v1.2.0"}, exitNotReleased, "v1.1.0"},
		{[]string{"rollback"}, exitDone, "v1.0.0"},
		{[]string{"unpin"}, exitDone, "v1.0.0"},
		{[]string{"rebuild"}, exitDone, "v1.0.0"},
	}
}

const brokenInDemo = "v1.2.0=never-healthy"

// stubCertificate is how long the stub machines' authority may take.
const stubCertificate = 20 * time.Second

func demo(ctx context.Context, std stdio) error {
	dir, err := os.MkdirTemp("", "cattle-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	box, err := startSandbox(ctx, sandboxOptions{dir: filepath.Join(dir, "sandbox"), listen: "127.0.0.1:0", socks: "127.0.0.1:0",
		latency: "fast", broken: []string{brokenInDemo}})
	if err != nil {
		return err
	}
	defer box.close()
	s := &stage{std: std, sandbox: box, dir: filepath.Join(dir, "blog"), patience: stubCertificate}
	if err := s.dress(demoSecrets()); err != nil {
		return err
	}
	fmt.Fprintln(std.out, "a DigitalOcean of its own on loopback, and examples/blog with fresh secrets")
	if err := s.perform(ctx, demoScenes()); err != nil {
		return err
	}
	return s.curtain("demo")
}

// dress lays out the example with secrets of its own, and the environment that
// points the commands at the sandbox.
func (s *stage) dress(values []secrets.Pair) error {
	blog, err := fs.Sub(examples.FS, "blog")
	if err != nil {
		return err
	}
	if err := os.CopyFS(s.dir, blog); err != nil {
		return err
	}
	key, err := secrets.NewIdentity()
	if err != nil {
		return err
	}
	sealed, err := secrets.Encrypt(secrets.Dotenv, values, key.Recipient)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(s.sandbox.dir, "age.key")
	s.environment(map[string]string{"SOPS_AGE_KEY_FILE": keyFile})
	err = errors.Join(
		os.WriteFile(keyFile, []byte(key.Key.Reveal()+"\n"), 0o600),
		os.WriteFile(filepath.Join(s.dir, "secrets.env"), sealed, 0o600))
	if err != nil {
		return err
	}
	var faults profiles.Diagnostics
	s.profile, faults = profiles.Load(filepath.Join(s.dir, "cattle.yaml"), profiles.Options{SecretNames: secrets.Names})
	return faults.Err()
}

func demoSecrets() []secrets.Pair {
	var out []secrets.Pair
	for _, name := range []string{"SESSION_KEY", "SMTP_USER", "SMTP_PASSWORD", "GHCR_USER", "GHCR_TOKEN"} {
		key, _ := secrets.NewIdentity()
		out = append(out, secrets.Pair{Name: name, Value: secrets.NewString(strings.ToLower(key.Key.Reveal()[20:52]))})
	}
	return out
}
