package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"cattle/profiles"
)

// TestEveryKeyIsDocumented holds docs/profile.md complete.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/profile.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range profileKeys(reflect.TypeFor[profiles.Profile](), "") {
		if !strings.Contains(string(page), "| `"+key+"` |") {
			t.Errorf("docs/profile.md has no row for `%s`", key)
		}
	}
}

func profileKeys(t reflect.Type, prefix string) (keys []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, kind := prefix+f.Tag.Get("yaml"), f.Type
		if key == prefix || key == "-" {
			continue
		}
		for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct {
			if kind.Kind() == reflect.Slice {
				key += "[]"
			}
			kind = kind.Elem()
		}
		if kind.Kind() == reflect.Struct && kind != reflect.TypeFor[profiles.Place]() {
			keys = append(keys, profileKeys(kind, key+".")...)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// TestDocumentsPointSomewhere follows the documents' links among themselves,
// and finds the tests that they name.
func TestDocumentsPointSomewhere(t *testing.T) {
	tests := testNames(t)
	for _, path := range documents(t) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(string(raw), -1) {
			to := path
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(path), m[1])
			}
			if !linkHolds(to, m[2]) {
				t.Errorf("%s: %s leads nowhere", path, m[0])
			}
		}
		for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(raw), -1) {
			if !tests[name[1]] {
				t.Errorf("%s: there is no test %s", path, name[1])
			}
		}
	}
}

// linkHolds tells whether a file is there and has a heading of that anchor,
// which is the heading as GitHub spells it in links.
func linkHolds(path, anchor string) bool {
	if _, err := os.Stat(path); err != nil || anchor == "" {
		return err == nil
	}
	raw, _ := os.ReadFile(path) // without its text there is no heading
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(raw), -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}

func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(filepath.Join("../..", path))
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(raw, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestEveryCommandShownExists looks up the commands and flags that documents
// show anywhere, in blocks that are not run and in sentences too.
func TestEveryCommandShownExists(t *testing.T) {
	app := newApp(stdio{})
	for _, path := range documents(t) {
		for _, command := range shownCommands(t, path) {
			if fault := unknownInCommand(app, command); fault != "" {
				t.Errorf("%s: %s: %s", path, command, fault)
			}
		}
	}
}

// TestEveryRehearsedLineIsCattles holds the blocks that rehearse to commands
// that the test above looks up.
func TestEveryRehearsedLineIsCattles(t *testing.T) {
	for _, path := range documents(t) {
		for _, b := range readDocument(t, path).blocks {
			for line := range strings.Lines(b.text) {
				if b.info == "sh rehearsal" && !strings.HasPrefix(line, "cattle ") {
					t.Errorf("%s:%d: no command of cattle: %s", path, b.line, line)
				}
			}
		}
	}
}

// shownCommands are those of a document's code, in blocks and between backticks.
func shownCommands(t *testing.T, path string) (commands []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`(cattle [^`\n]+)`").FindAllStringSubmatch(string(raw), -1) {
		commands = append(commands, m[1])
	}
	for _, b := range docBlocks(string(raw)) {
		for line := range strings.Lines(b.text) {
			command := strings.TrimPrefix(strings.TrimSpace(line), "$ ")
			meant := docExit.FindString(command) == "# exit status 2" // to be refused, for its flags perhaps
			if strings.HasPrefix(command, "cattle ") && !strings.HasPrefix(b.info, "yaml") && !(meant && b.info == "text") {
				commands = append(commands, command)
			}
		}
	}
	return commands
}

// unknownInCommand says what of a command line there is not. What stands in
// quotes or behind a pipe is for another program.
func unknownInCommand(app *cli.App, line string) string {
	for _, end := range []string{" #", " |", "'"} {
		line, _, _ = strings.Cut(line, end)
	}
	words := strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(line))[1:]
	if len(words) > 0 && words[0] == strings.ToUpper(words[0]) { // COMMAND stands for any
		return ""
	}
	commands, flags := app.Commands, []string{"help", "h"}
	for _, word := range words {
		named := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == word })
		flag, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		switch {
		case named >= 0:
			for _, f := range commands[named].Flags {
				flags = append(flags, f.Names()...)
			}
			commands = commands[named].Subcommands
		case word[0] == '-' && word != "-" && word != "--" && !slices.Contains(flags, flag):
			return "there is no flag " + word
		case word[0] != '-' && len(commands) > 0:
			return "there is no such command"
		case word == "--", word[0] != '-' && (words[0] == "exec" || words[0] == "ssh"): // what follows is for another program
			return ""
		default:
			commands = nil
		}
	}
	return ""
}

// TestFirstReleaseIsScripted: what docs/first-release.md has its reader type is
// what testdata/first-release.txtar types, in that order, and holds the answers of.
func TestFirstReleaseIsScripted(t *testing.T) {
	var page, script []string
	for _, b := range readDocument(t, "../../docs/first-release.md").blocks {
		for line := range strings.Lines(b.text) {
			if b.info == "sh" && strings.HasPrefix(line, "cattle ") {
				page = append(page, strings.TrimSpace(line))
			}
		}
	}
	text, err := os.ReadFile("testdata/first-release.txtar")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "cattle ") {
			script = append(script, line)
			if at < len(page) && line == page[at] {
				at++
			}
		}
	}
	if at < len(page) {
		t.Errorf("the script does not type %q, or not in this order: it has %q", page[at], script)
	}
	for _, line := range script {
		if !slices.Contains(page, line) {
			t.Errorf("the page does not say to type %q", line)
		}
	}
}
