package profiles

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"cattle/docs"
)

func compiledSchema(t *testing.T) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	keys := docs.Keys()
	raw, err := SchemaOf(func(path string) Key { return Key(keys[path]) })
	if err != nil {
		t.Fatal(err)
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("cattle.json", plain); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("cattle.json")
	if err != nil {
		t.Fatal(err)
	}
	return s, plain.(map[string]any)
}

// asJSON is a YAML file as an editor's validator sees it.
func asJSON(text string) (any, error) {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
}

// TestSchemaTakesWhatLoads: no profile that can be used has a mark in the editor.
func TestSchemaTakesWhatLoads(t *testing.T) {
	s, _ := compiledSchema(t)
	checked := 0
	for _, kind := range []string{"profiles", "stacks", "faults"} {
		for _, path := range archives(t, kind) {
			a := readArchive(t, path)
			warned := kind == "faults" && !strings.Contains(a.files["want"], ": error: ")
			for _, name := range a.names {
				if !strings.HasSuffix(name, "cattle.yaml") || kind == "faults" && !warned {
					continue
				}
				v, err := asJSON(a.files[name])
				if err == nil {
					err = s.Validate(v)
				}
				if err != nil {
					t.Errorf("%s, %s: %v", path, name, err)
				}
				checked++
			}
		}
	}
	for _, starter := range starterTexts(t) {
		if v, err := asJSON(starter); err != nil || s.Validate(v) != nil {
			t.Errorf("a starter: %v, %v\n%s", err, s.Validate(v), starter)
		}
	}
	if checked < 10 {
		t.Errorf("only %d profiles", checked)
	}
}

// structural are faults that a schema can see.
var structural = regexp.MustCompile(`(?m)^cattle\.yaml:\d+:\d+: error: (unknown key|[\w.]+ must be|[\w.]+ is empty|[\w.]+ is not (a duration|a slug))`)

// TestSchemaSeesStructure: an unknown key, or a value of a wrong type, has one.
func TestSchemaSeesStructure(t *testing.T) {
	s, _ := compiledSchema(t)
	seen := 0
	for _, path := range archives(t, "faults") {
		a := readArchive(t, path)
		if !structural.MatchString(a.files["want"]) {
			continue
		}
		v, err := asJSON(a.files["cattle.yaml"])
		if err != nil {
			continue // the editor tells of its syntax
		}
		if seen++; s.Validate(v) == nil {
			t.Errorf("%s: valid, in spite of\n%s", path, a.files["want"])
		}
	}
	if seen < 8 {
		t.Errorf("only %d files with such faults", seen)
	}
}

// TestSchemaOfEachType goes through what the decoder takes and refuses, value by value.
func TestSchemaOfEachType(t *testing.T) {
	s, _ := compiledSchema(t)
	for _, line := range []string{
		"domain: a.example", "domains: [a.example, b.example]", "x-mine: {any: [thing]}", "droplet:", "port: 8000", "port:",
		"droplet: {tags: prod, monitoring: true, image: ubuntu-24-04-x64}", "health: {interval: 500ms, deadline: 1h30m, timeout: 5s}",
		"release: {standby_for: 7d, boot_within: 1d12h, keep: 0, bake: 0}", "files: [{path: /etc/motd, mode: 0644}, {path: /srv/x, mode: '0755', content: 7}]",
		"cron: [{schedule: '@daily', command: bin/run now}, {schedule: 1 2 3 4 5, command: [bin/run, 1]}]", "env: {PORT: 80, DEBUG: true, EMPTY: }",
		"packages: htop", "hooks: {before_switch: bin/check}", "dns: digitalocean", "notify: [{ntfy: 'https://ntfy.sh/x', on: failure}]",
		"image: a/b", "build: {args: {A: 1}}", "secrets: {deliver: user-data}", "droplet: {baked_within: 0s}",
		"state: [{name: db, sqlite: 'data:blog.db'}, {name: s, mysql: {service: db, database: [a, b], password: '${A}'}}]", "state:",
		"release: {migrate: bin/migrate up, pause: worker}", "release: {migrate: [bin/migrate, up]}", "release: {migrate: {command: up, service: web}}",
		"release: {migrate: }", "backup: {repository: 's3:x/y', password: '${A}', env: {A: 1}, keep: {daily: 7}, overdue: 2d}",
	} {
		takes(t, s, line, true)
	}
	for _, line := range []string{
		"imge: x", "droplet: {regio: fra1}", "port: eighty", "port: '80'", "port: 70000", "droplet: nyc3", "routes: {to: web:1}", "routes: [web:1]",
		"routes: [{tto: web:1}]", "health: {interval: 5}", "health: {interval: soon}", "health: {interval: ''}", "health: {status: 99}", "env: [A]",
		"tls: {staging: maybe}", "app: [blog]", "app: Blog", "dns: route53", "droplet: {image: windows}", "packages: [{a: b}]", "packages: [null]",
		"cron: [{service: web}]", "files: [{content: x}]", "secrets: {deliver: post}", "notify: [{ntfy: x, on: never}]", "[a, list]", "text",
		"state: {db: x}", "state: [{sqlite: x}]", "state: [{name: A}]", "state: [{name: a, files: [x]}]", "state: [{name: a, volume: x}]",
		"state: [{name: a, mysql: db}]", "release: {migrate: {comand: up}}", "release: {max_freeze: 5}", "backup: s3", "backup: {keep: 7}", "backup: {password: x}",
	} {
		takes(t, s, line, false)
	}
}

func takes(t *testing.T, s *jsonschema.Schema, line string, want bool) {
	t.Helper()
	v, err := asJSON(line)
	if err != nil {
		t.Fatal(line, err)
	}
	if err := s.Validate(v); (err == nil) != want {
		t.Errorf("%s: %v", line, err)
	}
	// What the decoder makes of it: no fault of structure where the schema has none.
	path := t.TempDir() + "/cattle.yaml"
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, faults := Load(path, Options{})
	refused := regexp.MustCompile(`unknown key|must be (a|text|true)|is empty|is not a duration`).MatchString(faults.Error())
	if want && refused {
		t.Errorf("%s: the schema takes it, and the decoder says\n%v", line, faults)
	}
}

// TestSchemaDescribes: an editor shows what the documentation says.
func TestSchemaDescribes(t *testing.T) {
	_, plain := compiledSchema(t)
	properties := plain["properties"].(map[string]any)
	region := properties["droplet"].(map[string]any)["properties"].(map[string]any)["region"].(map[string]any)
	if region["default"] != "nyc3" || !strings.Contains(region["description"].(string), "cannot leave its region") {
		t.Errorf("droplet.region: %v", region)
	}
	for name, p := range properties {
		p := p.(map[string]any)
		if p["description"] == nil && p["properties"] == nil && p["items"] == nil {
			t.Errorf("%s has no description", name)
		}
		if text, _ := p["description"].(string); strings.ContainsAny(text, "[]") || strings.Contains(text, ".md") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func starterTexts(t *testing.T) (out []string) {
	t.Helper()
	files, err := starterFiles.ReadDir("starters")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := starterFiles.ReadFile("starters/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}
