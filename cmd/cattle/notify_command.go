package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/notify"
	"cattle/profiles"
)

func notifyCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "notify", Usage: "show who is told how releases end; --test tells them something now", OnUsageError: usage,
		Description: "    cattle notify\n" +
			"    cattle notify --test",
		Flags: []cli.Flag{fileFlag(), &cli.BoolFlag{Name: "test", Usage: "send everybody a message that says it is a test"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			p, err := loadQuietly(c.String("file"))
			if err != nil {
				return err
			}
			if len(p.Notify) == 0 {
				return say(std.out, "the profile names nobody: notify, in docs/profile.md\n")
			}
			if !c.Bool("test") {
				return listNotices(std, p)
			}
			m := notify.Message{Title: p.App + ": a test of cattle notify", Text: "Nothing was released. This is how you will hear of it."}
			wrong := announce(c.Context, std, p, m, func(profiles.Notice) bool { return true })
			if len(wrong) > 0 {
				return &unheard{wrong}
			}
			return say(std.out, fmt.Sprintf("told %d of %[1]d\n", len(p.Notify)))
		},
	}
}

// unheard is the failure of a test message.
type unheard struct{ wrong []failure }

func (e *unheard) Error() string { return e.wrong[0].Msg }

// listNotices shows who is told what, and whether the addresses are known here.
func listNotices(std stdio, p *profiles.Profile) error {
	var b strings.Builder
	for i, n := range p.Notify {
		fmt.Fprintf(&b, "notify.%d  %s  on %s", i, addressee(n), strings.Join(n.On, ", "))
		_, err := addressOf(std, n.Webhook+n.Ntfy)
		if unset := (*unsetError)(nil); errors.As(err, &unset) {
			fmt.Fprintf(&b, "  (%v)", unset)
		}
		b.WriteByte('\n')
	}
	return say(std.out, b.String())
}
