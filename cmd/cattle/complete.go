package main

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/manual"
	"cattle/droplets/release"
	"cattle/profiles"
	"cattle/secrets"
)

//go:embed manual/shells
var shells embed.FS

func completionCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print what makes a shell complete cattle's commands, versions, hosts and services",
		ArgsUsage: "bash|zsh|fish", OnUsageError: usage,
		Description: "Its first lines say where to put it. With a token and a profile it also knows the releases and droplets\n" +
			"that there are, if the cloud answers within half a second.\n\n" +
			"    cattle completion bash  # source <(cattle completion bash)\n" +
			"    cattle completion zsh   # source <(cattle completion zsh)\n" +
			"    cattle completion fish  # cattle completion fish | source",
		Action: func(c *cli.Context) error {
			shell := c.Args().First()
			script, err := shells.ReadFile("manual/shells/" + shell)
			if shell == "" || c.Args().Len() > 1 || err != nil {
				return &usageError{"completion needs bash, zsh or fish", "cattle completion bash"}
			}
			return say(std.out, string(script))
		},
	}
}

// completeCommand is what the scripts ask: a line a candidate, with a tab and
// what it is, or :files for the files that there are. It has no errors: who
// presses a key in the middle of a line wants none.
func completeCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "complete", Hidden: true, SkipFlagParsing: true, HideHelp: true, // its arguments are others' words
		Action: func(c *cli.Context) error {
			root := topicOf(c.App)
			wish := manual.Complete(root, c.Args().Slice())
			if fileKinds(wish.Kind) {
				_, err := fmt.Fprintln(std.out, ":files")
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context, completeWithin)
			defer cancel()
			var b strings.Builder
			for _, word := range wish.Narrow(candidates(ctx, std, root, wish)...) {
				b.WriteString(strings.TrimRight(word.Word+"\t"+word.Says, "\t") + "\n")
			}
			return say(std.out, b.String())
		},
	}
}

// completeWithin is how long a reader waits for a key to do something before he
// presses it again.
const completeWithin = 500 * time.Millisecond

// fileKinds are the words of usage lines that stand for a file or a folder.
func fileKinds(kind string) bool {
	return slices.Contains([]string{"FILE", "FILE.html", "FOLDER", "DIR", "BINARY", "SRC", "DST"}, kind)
}

// candidates are the words of a kind that only the profile, git or the cloud
// knows. Where they are silent there are none.
func candidates(ctx context.Context, std stdio, root manual.Topic, wish manual.Wish) []manual.Candidate {
	file := cmp.Or(wish.Given["file"], std.env("CATTLE_FILE"), "cattle.yaml")
	switch wish.Kind {
	case "VERSION":
		if wish.Command.Name == "cattle rollback" {
			return standbys(worldWithin(ctx, std, file))
		}
		// Both at once: either may take all the time there is.
		tags := make(chan []manual.Candidate, 1)
		go func() { tags <- gitTags(ctx, filepath.Dir(file)) }()
		known := releases(worldWithin(ctx, std, file))
		return append(<-tags, known...)
	case "ATTEMPT":
		return attempts(worldWithin(ctx, std, file))
	case "ID":
		return hosts(worldWithin(ctx, std, file))
	case "SERVICE":
		return services(ctx, file)
	case "NAME":
		return secretNames(file)
	case "COMMAND":
		if wish.Command.Name == "cattle help" {
			t, _ := root.Find(wish.Words...)
			return commandsOf(t)
		}
	}
	return nil
}

// worldWithin surveys the site for as long as ctx lasts; empty where that fails.
func worldWithin(ctx context.Context, std stdio, file string) *release.World {
	p, err := loadSite(file)
	if err != nil || apiToken(std) == "" {
		return &release.World{}
	}
	o, err := operator(std, false)
	if err != nil {
		return &release.World{}
	}
	// The survey's own retries may outlast ctx by an answer that hangs.
	found := make(chan *release.World, 1)
	go func() {
		w, err := o.Survey(ctx, siteOf(p, nil))
		if err != nil {
			w = &release.World{}
		}
		found <- w
	}()
	select {
	case w := <-found:
		return w
	case <-ctx.Done():
		return &release.World{}
	}
}

// gitTags are the repository's, the newest first.
func gitTags(ctx context.Context, dir string) (out []manual.Candidate) {
	cmd := exec.CommandContext(ctx, "git", "-C", dir, "tag", "--sort=-creatordate")
	cmd.WaitDelay = completeWithin
	list, err := cmd.Output()
	if err != nil {
		return nil
	}
	for tag := range strings.FieldsSeq(string(list)) {
		out = append(out, manual.Candidate{Word: tag, Says: "a tag of git"})
	}
	return out
}

// A host is a droplet with what it is to the site.
type host struct {
	role string
	release.Member
}

func hostsOf(w *release.World) (out []host) {
	if w.Live != nil {
		out = append(out, host{"live", *w.Live})
	}
	for _, m := range w.Standbys {
		out = append(out, host{"standby", m})
	}
	for _, m := range w.Candidates {
		out = append(out, host{"candidate", m})
	}
	return out
}

// hosts are what --to takes: the roles that somebody has, and all ids.
func hosts(w *release.World) (roles []manual.Candidate) {
	var ids []manual.Candidate
	for _, h := range hostsOf(w) {
		if !slices.ContainsFunc(roles, func(c manual.Candidate) bool { return c.Word == h.role }) {
			roles = append(roles, manual.Candidate{Word: h.role, Says: h.Name})
		}
		ids = append(ids, manual.Candidate{Word: strconv.Itoa(h.ID), Says: h.role + " " + h.Name})
	}
	if len(roles) == 0 { // nobody was asked: any of them may be
		for _, role := range []string{"live", "standby", "candidate"} {
			roles = append(roles, manual.Candidate{Word: role})
		}
	}
	return append(roles, ids...)
}

func releases(w *release.World) (out []manual.Candidate) {
	for _, h := range hostsOf(w) {
		out = append(out, manual.Candidate{Word: h.Birth.Release, Says: "the release of the " + h.role})
	}
	return out
}

func standbys(w *release.World) (out []manual.Candidate) {
	for _, m := range w.Standbys {
		out = append(out, manual.Candidate{Word: m.Birth.Release, Says: "the standby " + m.Name})
	}
	return out
}

func attempts(w *release.World) (out []manual.Candidate) {
	for _, m := range slices.Concat(w.Candidates, w.Baking) {
		out = append(out, manual.Candidate{Word: m.Birth.Attempt, Says: m.Name})
	}
	return out
}

// services are the profile's.
func services(ctx context.Context, file string) (out []manual.Candidate) {
	p, err := loadSite(file)
	if err != nil {
		return nil
	}
	stack, err := p.Stack(ctx, "v0", nil)
	if err != nil {
		return nil
	}
	for _, name := range stack.Services {
		out = append(out, manual.Candidate{Word: name, Says: "a service"})
	}
	return out
}

// secretNames are those of the profile's secrets file; no key is needed.
func secretNames(file string) (out []manual.Candidate) {
	p, err := loadSite(file)
	if err != nil {
		return nil
	}
	names, err := secrets.Names(cmp.Or(p.Secrets.File, filepath.Join(filepath.Dir(file), profiles.DefaultSecretsFile)))
	if err != nil {
		return nil
	}
	for _, name := range names {
		out = append(out, manual.Candidate{Word: name, Says: "a secret"})
	}
	return out
}

// commandsOf are the commands of a topic.
func commandsOf(t manual.Topic) (out []manual.Candidate) {
	for _, s := range t.Topics {
		out = append(out, manual.Candidate{Word: s.Word(), Says: s.Usage})
	}
	return out
}
