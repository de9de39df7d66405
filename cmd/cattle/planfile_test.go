package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// keptPlan is a plan file with something in every field.
func keptPlan() planFile {
	return planFile{Format: planFormat, App: "blog", Release: "v2", At: time.Unix(1_795_000_000, 0).UTC(), Live: &planDroplet{1, "v1", "aa"},
		Standbys: []planDroplet{{2, "v0", "bb"}}, IP: "198.51.100.1", Profile: "11", Secrets: "22", Machine: "33", Images: map[string]string{"a:1": "sha256:44"},
		Snapshot: 5, Cost: costJSON{6, 5, 0.1}, Steps: []string{"create", "record"}}
}

// TestPlanFile: a plan that was kept is read back as it was; each thing that is
// another one by now is named, and nothing else is.
func TestPlanFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := keptPlan().write(path); err != nil {
		t.Fatal(err)
	}
	kept, err := readPlanFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*planFile){
		"":                func(f *planFile) { f.At = f.At.Add(time.Hour) },
		"what is live":    func(f *planFile) { f.Live.Attempt = "cc" },
		"the standbys":    func(f *planFile) { f.Standbys = nil },
		"the reserved IP": func(f *planFile) { f.IP = "" },
		"the profile":     func(f *planFile) { f.Profile = "12" },
		"the secrets":     func(f *planFile) { f.Secrets = "" },
		"the machine":     func(f *planFile) { f.Machine = "34" },
		"the snapshot":    func(f *planFile) { f.Snapshot = 0 },
		"the steps":       func(f *planFile) { f.Steps = f.Steps[:1] },
		"the price":       func(f *planFile) { f.Cost.Monthly = 7 },
	} {
		now := keptPlan()
		change(&now)
		got := kept.holds(&now, nil)
		if name == "" && len(got) > 0 || name != "" && (len(got) != 1 || !strings.HasPrefix(got[0], name+": ")) {
			t.Errorf("%q changed: %q are named", name, got)
		}
	}
	now := keptPlan()
	if got := kept.holds(&now, map[string]string{"a:1": "sha256:45"}); len(got) != 1 || got[0] != "the image a:1: 44 → 45" {
		t.Errorf("of a moved tag: %q", got)
	}
}

// TestPlanFileEdited: whatever is changed in the file, it is refused.
func TestPlanFileEdited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := keptPlan().write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	edits := []string{"", "null", "{}", "[]", strings.Replace(string(text), `"app"`, `"more": 1, "app"`, 1), string(text[:len(text)/2])}
	for name := range fields {
		if name == "sum" {
			continue
		}
		other := map[string]any{}
		for k, v := range fields {
			other[k] = v
		}
		delete(other, name)
		edited, _ := json.Marshal(other)
		edits = append(edits, string(edited))
	}
	for _, edited := range edits {
		if err := os.WriteFile(path, []byte(edited), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := readPlanFile(path); err == nil {
			t.Errorf("%s is taken for %+v", edited, f)
		}
	}
}

// TestCompare: what is told of two manifests, and what not.
func TestCompare(t *testing.T) {
	const one, two = "sha256:1111111111111111", "sha256:2222222222222222"
	live := &droplets.Manifest{Release: "v1", Images: map[string]string{"ghcr.io/me/blog:v1": one, "redis:7": one, "localhost:5000/same": one, "gone:1": one}}
	planned := &droplets.Manifest{Release: "v2", Images: map[string]string{"ghcr.io/me/blog:v2": one, "redis:7": two, "localhost:5000/same": one, "new:1": two}}
	var got []string
	for _, c := range compare(live, planned).Images {
		got = append(got, c.String())
	}
	want := "ghcr.io/me/blog v1 → v2, the same bytes; gone 1 (111111111111) → none; new none → 1 (222222222222); redis:7 111111111111 → 222222222222"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("images: %s\nwant %s", s, want)
	}
	live.Profile = []string{"app: blog", "env.A: …", "packages: vim", "droplet.size: s", "release.keep: 1", "routes.0.to: web:80"}
	planned.Profile = []string{"app: blog", "env.B: …", "packages: htop", "droplet.size: l", "release.keep: 2", "routes.0.to: web:80"}
	if s := strings.Join(compare(live, planned).Profile, "; "); s != "-release.keep: 1; +release.keep: 2" {
		t.Errorf("profile: %s", s)
	}
	if d := compare(live, live); len(d.rows()) != 0 || len(d.Images) != 0 {
		t.Errorf("nothing changed: %+v", d)
	}
	if len((*difference)(nil).rows()) != 0 {
		t.Error("nothing to compare with has rows")
	}
}
