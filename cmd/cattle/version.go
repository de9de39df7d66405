package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

// version is what the build says of itself.
func version() string { return builtFrom(debug.ReadBuildInfo()).Version }

// A build is what the binary was made of, for a bug report.
type build struct {
	Type    string `json:"message_type"`
	Version string `json:"version"`          // devel: of no tag
	Commit  string `json:"commit,omitempty"` // 40 hex digits
	Date    string `json:"date,omitempty"`   // of the commit, RFC 3339
	Dirty   bool   `json:"dirty,omitempty"`  // files were changed and not committed
	Go      string `json:"go"`
	System  string `json:"system"` // linux/amd64
}

func builtFrom(info *debug.BuildInfo, ok bool) build {
	b := build{Type: "version", Version: "devel", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if !ok {
		return b
	}
	if v := strings.Trim(info.Main.Version, "()"); v != "" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		case "vcs.modified":
			b.Dirty = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "cattle %s\n", b.Version)
	if b.Commit != "" {
		changed := ""
		if b.Dirty {
			changed = ", with changes that are not committed"
		}
		fmt.Fprintf(&s, "commit %s of %s%s\n", b.Commit, b.Date, changed)
	}
	fmt.Fprintf(&s, "%s %s\n", b.Go, b.System)
	return s.String()
}

func versionCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print cattle's version, and what it was built from", OnUsageError: usage,
		Description: "    cattle version\n" +
			"    cattle version --json",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			b := builtFrom(debug.ReadBuildInfo())
			if c.Bool("json") {
				return writeJSON(std.out, b)
			}
			return say(std.out, b.String())
		},
	}
}
