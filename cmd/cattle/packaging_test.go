package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWorkflows: actions are pinned by commit, with the version that it is;
// whoever starts a workflow has no permission but what a job asks for; and the
// commands of cattle in them are some that there are.
func TestWorkflows(t *testing.T) {
	paths, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	app := newApp(stdio{})
	pinned := regexp.MustCompile(`^[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, path := range append(paths, "../../examples/workflows/cattle.yml") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		if !strings.Contains(text, "\npermissions: {}\n") {
			t.Errorf("%s: not without permissions at the top", path)
		}
		uses := 0
		for line := range strings.Lines(text) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "- ")
			if action, ok := strings.CutPrefix(line, "uses: "); ok {
				uses++
				if !pinned.MatchString(action) {
					t.Errorf("%s: not pinned: %s", path, action)
				}
			}
			if command, ok := strings.CutPrefix(line, "run: "); ok && strings.HasPrefix(command, "cattle ") {
				if fault := unknownInCommand(app, command); fault != "" {
					t.Errorf("%s: %s: %s", path, command, fault)
				}
			}
		}
		if uses == 0 {
			t.Errorf("%s uses no action: is it read right?", path)
		}
	}
}
