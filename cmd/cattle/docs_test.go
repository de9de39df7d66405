package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cattle/secrets"
)

// The documentation is run. In a document's code blocks
//
//	yaml                    is a whole profile, for `cattle check --strict`
//	yaml fragment           is a part of one, checked over a profile of one container
//	yaml fragment compose   is a part of one, checked over one of several services and volumes
//	yaml fragment warns     has a warning, and no error
//	yaml compose            is a compose file that a whole profile of the document names
//	yaml fault              has the fault of its section; see TestDiagnosticsArePages
//	sh                      is run, line by line, against a sandbox; `# exit status 3`
//	                        behind a command says how it ends
//	sh rehearsal            needs booted machines, so root: here its commands and flags
//	                        are looked up; those of docs/rehearsal.md are run, in their
//	                        order, by the end-to-end tests
//	text output             has lines that the commands before it printed
//	json                    has lines as commands print them; see TestJSONIsDocumented
//
// A block that begins with a comment such as `# cattle.yaml` is that file. What
// a document needs before its commands make sense is in a comment of its own:
// <!-- docs test, beforehand: COMMAND -->. A document that runs `cattle init` and
// shows no cattle.yaml begins in a folder without one. Whatever asks on standard
// input gets a line of the test's; an editor changes nothing.

// notRun are the commands that a document may show and that are not run.
func notRun() map[string]string {
	return map[string]string{
		"export":     "the test has an environment of its own",
		"make":       "runs this very test, or the demo, which has its own",
		"go":         "installs cattle, which the test has built",
		"git":        "works on the reader's repository",
		"apt-get":    "installs packages on the reader's computer",
		"ssh-keygen": "makes a key in the reader's home folder",
		"age-keygen": "makes a key in the reader's home folder",
		"sops":       "opens an editor; the test writes the secrets itself",
		"docker":     "pushes an image to a registry",
		"doctl":      "is not installed everywhere",
	}
}

const docProfile = "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\n"

const docComposeProfile = "app: shop\ndomain: shop.example.com\ncompose: services.yaml\nroutes: [{to: \"web:8000\"}]\nstate: [{name: data, files: data}]\n"

const docServices = "services:\n  web: {image: \"web:1\", expose: [\"8000\", \"9000\"], volumes: [\"/mnt/media:/media:ro\"]}\n  worker: {image: \"worker:1\"}\n  db: {image: \"mariadb:11\"}\n  pg: {image: \"postgres:17\"}\n" +
	"volumes: {data: {}, uploads: {}, media: {}}\n"

// TestDocumentation runs every document in a folder and on a sandbox of its own.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	bin := typedCattle(t)
	for _, path := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			d := readDocument(t, path)
			d.bin = filepath.Dir(bin)
			d.checkProfiles(t)
			d.runCommands(t)
		})
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	return append(paths, "../../README.md", "../../CHANGELOG.md")
}

// A docBlock is a code block, or the command of a comment.
type docBlock struct {
	info, text string
	line       int // of its first line, in the document
}

// A document is what the test knows of one.
type document struct {
	path   string
	blocks []docBlock
	files  map[string]string // those that its blocks show, by name
	bin    string            // the folder of the built cattle
}

var (
	docFence  = regexp.MustCompile("^( *)```(.*)$")
	docHidden = regexp.MustCompile(`^<!-- docs test, beforehand: (.*) -->$`)
	docName   = regexp.MustCompile(`^# ([\w./-]+\.ya?ml)\n`)
)

func readDocument(t *testing.T, path string) *document {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &document{path: path, blocks: docBlocks(string(raw)), files: map[string]string{}}
	for _, b := range d.blocks {
		name := docName.FindStringSubmatch(b.text)
		if name == nil || !strings.HasPrefix(b.info, "yaml") || b.info == "yaml fault" {
			continue
		}
		if before, ok := d.files[name[1]]; ok && before != b.text {
			t.Errorf("%s:%d: %s is shown twice, and differs", path, b.line, name[1])
		}
		d.files[name[1]] = b.text
	}
	return d
}

func docBlocks(text string) (out []docBlock) {
	var open *docBlock
	indent := ""
	for i, line := range strings.Split(text, "\n") {
		fence, hidden := docFence.FindStringSubmatch(line), docHidden.FindStringSubmatch(line)
		switch {
		case open != nil && fence != nil && fence[2] == "":
			out, open = append(out, *open), nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case fence != nil:
			open, indent = &docBlock{info: fence[2], line: i + 2}, fence[1]
		case hidden != nil:
			out = append(out, docBlock{"sh", hidden[1] + "\n", i + 1})
		}
	}
	return out
}

func (d *document) checkProfiles(t *testing.T) {
	for _, b := range d.blocks {
		kind, rest, _ := strings.Cut(b.info, " ")
		switch {
		case !slices.Contains([]string{"yaml", "sh", "text", "json"}, kind):
			t.Errorf("%s:%d: the test does not know blocks of %q", d.path, b.line, b.info)
		case kind != "yaml", rest == "fault":
		case rest == "compose":
			d.composeIsNamed(t, b)
		case rest == "":
			d.checkProfile(t, b, b.text, false)
		default:
			d.checkProfile(t, b, overBase(b.text, rest), rest == "fragment warns")
		}
	}
}

// composeIsNamed demands that a whole profile of the document names the
// compose file: then the file is checked with it. Where the reader has the
// profile written, that one is checked when he checks it.
func (d *document) composeIsNamed(t *testing.T, b docBlock) {
	name := docName.FindStringSubmatch(b.text)
	named := func(p docBlock) bool {
		return p.info == "yaml" && strings.Contains(p.text, "compose:") && strings.Contains(p.text, name[1])
	}
	if name == nil || !d.inits() && !slices.ContainsFunc(d.blocks, named) {
		t.Errorf("%s:%d: no profile here names this compose file", d.path, b.line)
	}
}

// overBase completes a fragment: with a base profile, and with a secrets file
// where it names secrets.
func overBase(fragment, kind string) string {
	base := "base.yaml"
	if kind == "fragment compose" {
		base = "base-compose.yaml"
	}
	if len(secretsOf(fragment)) > 0 && !strings.Contains(fragment, "secrets:") {
		fragment += "secrets: {file: secrets.env}\n"
	}
	return "extends: " + base + "\n" + fragment
}

func (d *document) checkProfile(t *testing.T, b docBlock, text string, warns bool) {
	dir := t.TempDir()
	d.layOut(t, dir, text)
	path := filepath.Join(dir, "checked.yaml")
	writeDoc(t, path, text)
	var out bytes.Buffer
	std := newStdio(strings.NewReader(""), io.Discard, &out)
	std.env = func(string) string { return "" }
	// Not through run: the flag library has globals, and documents run at the same time.
	ctx := context.Background()
	strict := report(ctx, check(ctx, std, path, true, false), std, false)
	lax := report(ctx, check(ctx, std, path, false, false), std, false)
	if want := map[bool]int{false: exitDone, true: exitInput}[warns]; lax != exitDone || strict != want {
		t.Errorf("%s:%d: cattle check exits with %d, and with %d when it is strict:\n%s", d.path, b.line, lax, strict, out.String())
	}
}

// layOut writes what a profile of the document needs beside it. Returned is
// the key that opens its secrets.
func (d *document) layOut(t *testing.T, dir, profile string) secrets.Identity {
	t.Helper()
	for name, text := range map[string]string{"cattle.yaml": docProfile, "base.yaml": docProfile, "base-compose.yaml": docComposeProfile, "services.yaml": docServices} {
		writeDoc(t, filepath.Join(dir, name), text)
	}
	for name, text := range d.files {
		writeDoc(t, filepath.Join(dir, name), text)
		if strings.Contains(profile, "compose:") && strings.Contains(profile, name) {
			profile += text
		}
	}
	for _, from := range regexp.MustCompile(`(?m)(?:from: |freeze_page: )([\w./-]+)(?:$| +#)`).FindAllStringSubmatch(profile, -1) {
		writeDoc(t, filepath.Join(dir, from[1]), "{}\n")
	}
	if strings.Contains(profile, "build:") {
		writeDoc(t, filepath.Join(dir, "Dockerfile"), "FROM scratch\nARG VERSION\n")
	}
	id, err := secrets.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if file := regexp.MustCompile(`secrets:\s+\{?file: ([\w.]+)`).FindStringSubmatch(profile); file != nil {
		writeDoc(t, filepath.Join(dir, file[1]), sealedDoc(t, secretsOf(profile), id))
	}
	return id
}

// secretsOf are the ${NAME} of a text that nothing else gives a value.
func secretsOf(text string) (names []string) {
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)\}`).FindAllStringSubmatch(text, -1) {
		if m[1] != "RELEASE" && m[1] != "IMAGE" && !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}

func sealedDoc(t *testing.T, names []string, id secrets.Identity) string {
	t.Helper()
	var pairs []secrets.Pair
	for _, name := range names {
		pairs = append(pairs, secrets.Pair{Name: name, Value: secrets.NewString("not-a-secret")})
	}
	sealed, err := secrets.Encrypt(secrets.Dotenv, pairs, id.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	return string(sealed)
}

func writeDoc(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runCommands runs the document's commands in order, in one folder.
func (d *document) runCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blog")
	id := d.layOut(t, dir, d.files["cattle.yaml"])
	writeDoc(t, filepath.Join(dir, "home", "age.key"), id.Key.Reveal()+"\n")
	if _, shown := d.files["cattle.yaml"]; !shown && d.inits() {
		if err := os.Remove(filepath.Join(dir, "cattle.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	var box *docSandbox
	var printed strings.Builder
	for _, b := range d.blocks {
		switch script, sandbox := d.script(t, b); {
		case b.info == "text output":
			d.wasPrinted(t, b, printed.String())
		case script == "" && sandbox == "":
		default:
			if box == nil || sandbox != "" {
				box.stop()
				box = startDocSandbox(t, d.bin, dir, sandbox)
			}
			out, err := box.shell(script)
			printed.WriteString(out)
			if err != nil {
				t.Fatalf("%s:%d: %v\n%s", d.path, b.line, err, out)
			}
		}
	}
}

// inits tells whether the document writes the profile by itself.
func (d *document) inits() bool {
	return slices.ContainsFunc(d.blocks, func(b docBlock) bool { return b.info == "sh" && strings.Contains(b.text, "cattle init") })
}

// script makes of a block what a shell runs; sandbox is a `cattle sandbox` in
// it, which runs until it is stopped.
func (d *document) script(t *testing.T, b docBlock) (script, sandbox string) {
	if b.info != "sh" {
		return "", ""
	}
	for i, line := range strings.Split(b.text, "\n") {
		head, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		_, skipped := notRun()[head]
		switch {
		case head == "" || head == "#" || skipped:
		case strings.HasPrefix(line, "cattle sandbox"):
			sandbox = line
		case slices.Contains([]string{"cattle", "curl", "head", "printf"}, head), strings.HasPrefix(head, "IP="):
			script += checkedLine(line, fmt.Sprintf("%s:%d", d.path, b.line+i))
		default:
			t.Errorf("%s:%d: the test neither runs %s nor knows why not", d.path, b.line+i, head)
		}
	}
	return script, sandbox
}

var docExit = regexp.MustCompile(`# exit status (\d+)`)

func checkedLine(line, where string) string {
	want := "0"
	if m := docExit.FindStringSubmatch(line); m != nil {
		want = m[1]
	}
	return line + "\ngot=$?; [ $got = " + want + " ] || { echo \"" + where + ": exit status $got, not " + want + "\"; exit 1; }\n"
}

// wasPrinted looks for the block's lines in the output, whatever the
// addresses, ids and times in them are.
func (d *document) wasPrinted(t *testing.T, b docBlock, printed string) {
	have := strings.Split(withoutChance(printed), "\n")
	for line := range strings.Lines(withoutChance(b.text)) {
		if line = strings.TrimRight(line, "\n"); line != "" && line != "…" && !slices.Contains(have, line) {
			t.Errorf("%s:%d: nothing printed this line:\n%s\nbut this was printed:\n%s", d.path, b.line, line, printed)
		}
	}
}

func withoutChance(s string) string {
	for _, r := range [][2]string{
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "WHEN"}, {`\d+\.\d+\.\d+\.\d+`, "IP"}, {`-[0-9a-f]{8}\b`, "-ATTEMPT"}, {`\b\d{7,}\b`, "ID"},
		{`\d+(\.\d+)? m?s\b`, "TIME"}, {`just now|\d+ min old`, "AGE"}, {`[ \t]+`, " "}, {`(?m)^ | $`, ""},
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	return s
}
