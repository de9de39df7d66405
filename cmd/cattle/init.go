package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/profiles"
	"cattle/profiles/guess"
)

func initCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "write the first cattle.yaml, from what the folder says of its app", ArgsUsage: "[DIR]", OnUsageError: usage,
		Description: "Looks at compose files, Dockerfile, .env, git's remote and, with a token, the account. Writes cattle.yaml, an\n" +
			"age key in your home folder, .sops.yaml, the secrets of .env encrypted, and lines of .gitignore. What is there\n" +
			"already is left as it is. In a terminal it asks what it cannot find out: the domain, and perhaps the image.\n\n" +
			"    cattle init --domain blog.example.com\n" +
			"    cattle init --domain blog.example.com --image ghcr.io/me/blog",
		Flags: []cli.Flag{jsonFlag(),
			&cli.StringFlag{Name: "domain", Usage: "the site's `NAME`, such as blog.example.com"},
			&cli.StringFlag{Name: "image", Usage: "the app's image, such as ghcr.io/me/blog"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			dir := cmp.Or(c.Args().First(), ".")
			return initialize(c.Context, std, dir, c.String("domain"), c.String("image"), c.Bool("json"))
		},
	}
}

// initialize finds out everything, then asks, and only then writes.
func initialize(ctx context.Context, std stdio, dir, domain, image string, asJSON bool) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &usageError{dir + " is no folder", "cattle init, in the folder of the app; or mkdir " + dir}
	}
	if err := errors.Join(soundDomain(domain), soundImage(image)); err != nil {
		return err
	}
	folder, err := lookInto(ctx, dir)
	if err != nil {
		return err
	}
	s := &guess.Sketch{Folder: folder, Asked: domain, Image: image}
	n := &newcomer{std: std, asJSON: asJSON, dir: dir, sketch: s, profile: filepath.Join(dir, "cattle.yaml")}
	if err := n.prepare(); err != nil {
		return err
	}
	n.tellFound()
	if err := n.lookAtAccount(ctx); err != nil {
		return err
	}
	if !exists(n.profile) {
		if err := n.ask(ctx); err != nil {
			return err
		}
	}
	if err := n.write(ctx); err != nil {
		return err
	}
	return n.tellNext(ctx)
}

func lookInto(ctx context.Context, dir string) (*guess.Folder, error) {
	folder, err := guess.Look(ctx, dir)
	var faults profiles.Diagnostics
	if err == nil || errors.As(err, &faults) {
		return folder, err
	}
	return nil, &usageError{err.Error(), "mend or move that file, and run cattle init again; nothing was written"}
}

func soundDomain(name string) error {
	if name == "" {
		return nil
	}
	if why, hint := profiles.DomainFault(name); why != "" {
		return &usageError{fmt.Sprintf("the domain %q %s", name, why), cmp.Or(hint, "cattle init --domain blog.example.com")}
	}
	return nil
}

func soundImage(ref string) error {
	if ref == "" {
		return nil
	}
	if why := profiles.ImageFault(ref); why != "" {
		return &usageError{fmt.Sprintf("%q is no image: %s", ref, why), "cattle init --image ghcr.io/me/blog"}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// accountPatience is how long the account may take: a token's requests for SSH
// keys, of which there may be ten a minute, can be used up.
const accountPatience = 10 * time.Second

// lookAtAccount asks for what only the account knows, if there is a token.
// What cannot be read stops nothing: the site can be described without it.
func (n *newcomer) lookAtAccount(ctx context.Context) error {
	if apiToken(n.std) == "" {
		return nil
	}
	patient, cancel := context.WithTimeout(ctx, accountPatience)
	defer cancel()
	account, err := account(patient, n.std)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		n.found("account", strings.TrimSuffix("it cannot be read: "+err.Error()+"; "+hintFor(err), "; "))
		return nil
	}
	n.sketch.Account = account
	says := count(len(account.Keys), "SSH key")
	if len(account.Keys) == 0 {
		says = "no SSH key: add yours at https://cloud.digitalocean.com/account/security"
	}
	if account.Region != "" {
		says += ", reserved IPs in " + account.Region
	}
	if len(account.FreeIPs) > 0 {
		says += ", free: " + strings.Join(account.FreeIPs, ", ")
	}
	n.found("account", says)
	return nil
}

func account(ctx context.Context, std stdio) (guess.Account, error) {
	cloud, err := cloudFromEnv(std)
	if err != nil {
		return guess.Account{}, err
	}
	keys, err := cloud.SSHKeys(ctx)
	if err != nil {
		return guess.Account{}, err
	}
	ips, err := cloud.ReservedIPs(ctx)
	if err != nil {
		return guess.Account{}, err
	}
	a := guess.Account{}
	for _, k := range keys {
		a.Keys = append(a.Keys, k.Name)
	}
	regions := map[string]int{}
	for _, ip := range ips {
		regions[ip.Region]++
		if ip.DropletID == 0 {
			a.FreeIPs = append(a.FreeIPs, ip.IP)
		}
		if regions[ip.Region] > regions[a.Region] || a.Region == "" {
			a.Region = ip.Region
		}
	}
	slices.Sort(a.FreeIPs)
	return a, nil
}

// ask asks what nothing told, where somebody is there to answer.
func (n *newcomer) ask(ctx context.Context) (err error) {
	if !n.std.inTTY || !n.std.errTTY || n.asJSON {
		return nil
	}
	lines := bufio.NewReader(n.std.in)
	s := n.sketch
	if s.Asked == "" && s.Domain == "" {
		stands, _ := s.DomainOr()
		if s.Asked, err = n.answer(ctx, lines, "domain", stands, soundDomain); err != nil {
			return err
		}
	}
	if s.Image == "" && s.Git.Image() == "" && s.NeedsImage() {
		image, _ := s.ImageOr()
		s.Image, err = n.answer(ctx, lines, "image", image, soundImage)
	}
	return err
}

// answer asks until the answer is sound. Enter takes what stands there, and
// leaves it a guess.
func (n *newcomer) answer(ctx context.Context, lines *bufio.Reader, what, otherwise string, sound func(string) error) (string, error) {
	for {
		fmt.Fprintf(n.std.err, "%s [%s]: ", what, otherwise)
		text, err := readLine(ctx, lines)
		if err != nil {
			return "", err
		}
		text = strings.TrimSpace(text)
		err = sound(text)
		if err == nil {
			return text, nil
		}
		_, failures := diagnose(err)
		failure{Msg: failures[0].Msg}.print(n.std.err) // the hint is for a command line
	}
}

// readLine waits for a line or for the interrupt. The end of the input is an
// empty line.
func readLine(ctx context.Context, lines *bufio.Reader) (string, error) {
	read := make(chan string, 1)
	go func() {
		text, _ := lines.ReadString('\n')
		read <- text
	}()
	select {
	case text := <-read:
		return text, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
