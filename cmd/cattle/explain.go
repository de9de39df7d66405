package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"cattle/docs"
	"cattle/profiles"
)

func explainCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "say what a failure means and what to do, by the code that it was told with",
		Description: "    cattle explain disk-full\n" +
			"    cattle explain              every code, with its gist",
		ArgsUsage: "[CODE]", OnUsageError: usage,
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			if code := c.Args().First(); code != "" {
				return explain(std, strings.Trim(code, "[]"))
			}
			return listCodes(std)
		},
	}
}

func explain(std stdio, code string) error {
	var codes []string
	for _, s := range docs.Sections() {
		if s.Code == code {
			return say(std.out, code+"\n\n"+s.Text+"\n")
		}
		codes = append(codes, s.Code)
	}
	hint := "cattle explain lists all"
	if near, ok := profiles.Nearest(code, codes); ok {
		hint = "cattle explain " + near
	}
	return &usageError{fmt.Sprintf("there is no code %q", code), hint}
}

// listCodes prints every code with its gist, under the headings of the pages.
func listCodes(std stdio) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	group := ""
	for _, s := range docs.Sections() {
		if s.Group != group {
			group = s.Group
			t.Flush() // each group has columns of its own
			fmt.Fprintf(&b, "%s:\n", group)
		}
		fmt.Fprintf(t, "    %s\t%s\n", s.Code, s.Gist)
	}
	t.Flush()
	return say(std.out, b.String())
}
