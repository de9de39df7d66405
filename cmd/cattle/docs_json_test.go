package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/measure"
	"cattle/droplets/release"
	"cattle/profiles"
)

// A jsonField is a row of docs/json.md: a JSON type, and whether the field is in
// every line of its kind.
type jsonField struct {
	kind   string
	always bool
}

// documentedJSON are the tables of docs/json.md, by the heading above them.
func documentedJSON(t *testing.T) map[string]map[string]jsonField {
	t.Helper()
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]jsonField{}
	heading := ""
	row := regexp.MustCompile("^\\| `([^`]+)` \\| (\\w+)[^|]* \\| .+ \\| (.*)\\|$")
	for line := range strings.Lines(string(page)) {
		line = strings.TrimRight(line, "\n")
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = h
		}
		m := row.FindStringSubmatch(line)
		if m == nil || heading == "" {
			continue
		}
		if out[heading] == nil {
			out[heading] = map[string]jsonField{"message_type": {"string", true}}
		}
		out[heading][m[1]] = jsonField{m[2], strings.TrimSpace(m[3]) == ""}
	}
	return out
}

// headingOf is where a line is documented.
func headingOf(line map[string]any) string {
	kind, _ := line["message_type"].(string)
	verb, _ := line["verb"].(string)
	switch {
	case kind != "result":
		return kind
	case line["skipped"] != nil:
		return "result: rebuild that is not due"
	case line["deleted"] != nil:
		return "result: bake --delete"
	case line["profile"] != nil && verb == "":
		return "result: check"
	case slices.Contains([]string{"release", "rebuild", "rollback", "bake"}, verb):
		return "result: release, rebuild, rollback, bake"
	}
	return "result: " + verb
}

// fieldsOf are the paths of a line with their types. An object of which the
// names are data has the path NAME.*.
func fieldsOf(v any, path string, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if path == "refusals" {
				name = "*"
			}
			fieldsOf(inner, strings.TrimPrefix(path+"."+name, "."), out)
		}
	case []any:
		for _, inner := range v {
			fieldsOf(inner, path+"[]", out)
		}
	case string:
		out[path] = "string"
	case float64:
		out[path] = "number"
	case bool:
		out[path] = "boolean"
	default:
		out[path] = fmt.Sprintf("%T", v)
	}
}

// holdLine holds one line against its table and returns where that is.
func holdLine(t *testing.T, doc map[string]map[string]jsonField, raw string) (heading string, fields map[string]string) {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(raw), &line); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	heading, fields = headingOf(line), map[string]string{}
	fieldsOf(line, "", fields)
	table, ok := doc[heading]
	if !ok {
		t.Fatalf("docs/json.md has no section %q: %s", heading, raw)
	}
	for path, kind := range fields {
		if f, ok := table[path]; !ok {
			t.Errorf("docs/json.md, %s: no row for `%s`: %s", heading, path, raw)
		} else if f.kind != kind {
			t.Errorf("docs/json.md, %s: `%s` is a %s, not a %s: %s", heading, path, kind, f.kind, raw)
		}
	}
	for path, f := range table {
		if _, there := fields[path]; f.always && !there && !inEmptyList(line, path) {
			t.Errorf("docs/json.md, %s: `%s` is not in every line: %s", heading, path, raw)
		}
	}
	return heading, fields
}

// inEmptyList tells whether a field is of the items of a list that has none.
func inEmptyList(line map[string]any, path string) bool {
	list, _, isItem := strings.Cut(path, "[]")
	items, there := line[list].([]any)
	return isItem && (len(items) == 0 || !there) || strings.HasSuffix(path, ".*")
}

// jsonStory are commands that print a line of nearly every kind.
const jsonStory = `check
init --image ghcr.io/me/blog --domain blog.example.com new
secrets list --json --file new/cattle.yaml
secrets recipients --json --file new/cattle.yaml
secrets recipients add --json --file new/cattle.yaml age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg
secrets set --json --file new/cattle.yaml NEW
secrets rotate --json --file new/cattle.yaml
secrets rm --json --file new/cattle.yaml NEW
plan v1
release --file unwatched.yaml v1
release v2
release v3
rollback
status
history
logs nginx
unpin
rebuild --if-older-than 7d
rebuild
bake
status
release v4
release --file data.yaml v5
release --file data.yaml v6
status --file data.yaml
bake --delete --dry-run
doctor
version
doctor --measure --yes
gc --standbys --dry-run
gc --standbys --yes
check --strict --file bad.yaml
destroy --dry-run
destroy --yes --with-ip`

// TestJSONIsDocumented holds every line that the commands print, and every line
// that docs/json.md shows, against its tables. A field or a kind that is added,
// renamed or gone is seen here.
func TestJSONIsDocumented(t *testing.T) {
	t.Parallel()
	doc := documentedJSON(t)
	seen := map[string]map[string]bool{}
	for _, raw := range append(playedJSON(t), shownJSON(t)...) {
		heading, fields := holdLine(t, doc, raw)
		if seen[heading] == nil {
			seen[heading] = map[string]bool{}
		}
		for path := range fields {
			seen[heading][path] = true
		}
	}
	types := jsonTypes()
	for heading, table := range doc {
		if _, typed := types[heading]; typed {
			continue // the test below has those that no command printed here
		}
		for path := range table {
			if !seen[heading][path] {
				t.Errorf("docs/json.md, %s: nothing printed `%s`", heading, path)
			}
		}
	}
}

// playedJSON is what the commands of the story print, a line each.
func playedJSON(t *testing.T) (lines []string) {
	t.Helper()
	dir := t.TempDir()
	box, err := startSandbox(t.Context(), sandboxOptions{dir: filepath.Join(dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0",
		latency: "none", broken: []string{"v3=fails-step:packages"}})
	if err != nil {
		t.Fatal(err)
	}
	defer box.close()
	profile := docProfile + "health: {interval: 100ms, deadline: 5s}\n"
	writeDoc(t, filepath.Join(dir, "unwatched.yaml"), profile)
	writeDoc(t, filepath.Join(dir, "cattle.yaml"), profile+"release: {bake: 1s}\n")
	writeDoc(t, filepath.Join(dir, "data.yaml"), profile+"state: [{name: db, sqlite: /srv/blog.db}]\n")
	writeDoc(t, filepath.Join(dir, "bad.yaml"), docProfile+"colour: red\n")
	writeDoc(t, filepath.Join(dir, "new", ".env"), "DB_PASSWORD=not-to-be-seen\nAPI_TOKEN=\n")
	env := append(os.Environ(), "CI=true", "HOME="+dir) // init makes an age key there
	for name, value := range box.env {
		env = append(env, name+"="+value)
	}
	for command := range strings.Lines(jsonStory) {
		words := strings.Fields(command)
		if !slices.Contains(words, "--json") { // behind the command, of which some have two words
			words = append([]string{words[0], "--json"}, words[1:]...)
		}
		cmd := exec.CommandContext(t.Context(), typedCattle(t), words...)
		var stderr bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stderr = dir, env, strings.NewReader(strings.Repeat("n", len(lines))+"\n"), &stderr
		out, _ := cmd.Output() // some fail, as their lines say
		if stderr.Len() > 0 && words[0] != "doctor" {
			t.Errorf("cattle %v: on standard error: %s", words, &stderr)
		}
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			lines = append(lines, s.Text())
		}
	}
	return lines
}

// shownJSON are the lines that docs/json.md shows.
func shownJSON(t *testing.T) (lines []string) {
	t.Helper()
	for _, b := range readDocument(t, "../../docs/json.md").blocks {
		if b.info == "json" {
			lines = append(lines, strings.Split(strings.TrimSpace(b.text), "\n")...)
		}
	}
	if len(lines) < 5 {
		t.Errorf("docs/json.md shows %d lines", len(lines))
	}
	return lines
}

// jsonTypes are the kinds of line that are a type in the code.
func jsonTypes() map[string]reflect.Type {
	return map[string]reflect.Type{
		"plan":       reflect.TypeFor[planJSON](),
		"status":     reflect.TypeFor[statusJSON](),
		"backup":     reflect.TypeFor[backupJSON](),
		"verified":   reflect.TypeFor[verifiedJSON](),
		"restored":   reflect.TypeFor[restoredJSON](),
		"measure":    reflect.TypeFor[measure.Report](),
		"entry":      reflect.TypeFor[droplets.Entry](),
		"log":        reflect.TypeFor[logJSON](),
		"version":    reflect.TypeFor[build](),
		"diagnostic": reflect.TypeFor[profiles.Diagnostic](),
		"doctor": reflect.TypeFor[struct {
			Findings []finding `json:"findings"`
		}](),
		"error": reflect.TypeFor[struct {
			Status   int       `json:"exit_status"`
			Failures []failure `json:"failures"`
		}](),
		"result: release, rebuild, rollback, bake": reflect.TypeFor[release.Report](),
	}
}

// TestJSONFieldsAreDocumented holds the tables against the types, for fields
// that hardly ever come.
func TestJSONFieldsAreDocumented(t *testing.T) {
	doc := documentedJSON(t)
	for heading, typ := range jsonTypes() {
		want := map[string]jsonField{"message_type": {"string", true}}
		typeFields(typ, "", true, want)
		diffFields(t, heading, doc[heading], want)
	}
	// One type is behind all events: each kind has some of its fields.
	events := map[string]jsonField{}
	typeFields(reflect.TypeFor[release.Event](), "", true, events)
	union := map[string]jsonField{}
	for _, kind := range []release.Kind{release.KindStep, release.KindBoot, release.KindNotice, release.KindWatch} {
		for path, f := range doc[string(kind)] {
			union[path] = jsonField{f.kind, events[path].always}
		}
	}
	diffFields(t, "step, boot, notice, watch", union, events)
}

func diffFields(t *testing.T, heading string, have, want map[string]jsonField) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if f, ok := have[path]; !ok {
			t.Errorf("docs/json.md, %s: no row for `%s`", heading, path)
		} else if f != want[path] {
			t.Errorf("docs/json.md, %s: `%s` is %v in the page and %v in the code", heading, path, f, want[path])
		}
	}
	for path := range have {
		if _, ok := want[path]; !ok {
			t.Errorf("docs/json.md, %s: the code has no `%s`", heading, path)
		}
	}
}

// typeFields are the fields that a type gives a line.
func typeFields(t reflect.Type, path string, always bool, out map[string]jsonField) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		out[path] = jsonField{"string", always}
	case t.Kind() == reflect.Pointer:
		typeFields(t.Elem(), path, always, out)
	case t.Kind() == reflect.Slice:
		typeFields(t.Elem(), path+"[]", always, out)
	case t.Kind() == reflect.Map:
		typeFields(t.Elem(), path+".*", always, out)
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" {
				continue
			}
			// Items of a list that may be missing are whole where there are any.
			omitted := options != "" && t.Field(i).Type.Kind() != reflect.Slice
			omitted = omitted || options != "" && t.Field(i).Type.Elem().Kind() != reflect.Struct
			typeFields(t.Field(i).Type, strings.TrimPrefix(path+"."+name, "."), always && !omitted, out)
		}
	default:
		kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Bool: "boolean"}
		kind := kinds[t.Kind()]
		if kind == "" {
			kind = "number"
		}
		out[path] = jsonField{kind, always}
	}
}
