package profiles

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func mustSpec(t *testing.T, p *Profile) []byte {
	t.Helper()
	stack, err := p.Stack(context.Background(), "v1.2.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := p.StateSpec(stack)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestStateSpec compares what droplets are told of the profiles with state.
func TestStateSpec(t *testing.T) {
	for _, path := range archives(t, "profiles") {
		t.Run(caseName(path), func(t *testing.T) {
			a := readArchive(t, path)
			a.unpack(t)
			p, faults := Load(a.names[0], Options{SecretNames: lineNames})
			if p == nil {
				t.Fatal(faults)
			}
			spec := mustSpec(t, p)
			if len(p.State) == 0 {
				if spec != nil {
					t.Errorf("of no state: %s", spec)
				}
				return
			}
			var b bytes.Buffer
			if err := json.Indent(&b, spec, "", " "); err != nil {
				t.Fatal(err)
			}
			a.golden(t, path, "want.spec", b.String())
		})
	}
}

// TestStateSpecIsPure: the same bytes each time, whatever became of the files.
func TestStateSpecIsPure(t *testing.T) {
	readArchive(t, "testdata/profiles/state.txt").unpack(t)
	p := mustLoad(t)
	first := mustSpec(t, p)
	if err := os.Remove("page.html"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again := mustSpec(t, p); !bytes.Equal(first, again) {
			t.Fatalf("%s, and then %s", first, again)
		}
	}
}

// TestStateSpecByHand: a profile that was not loaded is told what it lacks.
func TestStateSpecByHand(t *testing.T) {
	stack := &Stack{Services: []string{"web"}, Volumes: map[string]string{"data": "blog_data"}}
	tests := map[string]struct {
		change func(*Profile)
		want   string // of the error, or of the spec
	}{
		"one service": {func(p *Profile) { p.Release.Migrate = &Migrate{Command: Command{"up"}} }, `"migrate":{"service":"web","command":["up"]}`},
		"no page":     {func(p *Profile) { p.Release.FreezePage = "gone.html" }, "release.freeze_page: open gone.html"},
		"no volume":   {func(p *Profile) { p.State[0].Files.Volume = "x" }, `state.0: there is no volume "x"`},
		"nothing":     {func(p *Profile) { p.State[0] = State{Name: "x"} }, "state.0: it has to say one thing"},
		"all of it":   {func(p *Profile) {}, `"volume":"blog_data","path":""}`},
	}
	for name, tt := range tests {
		p := &Profile{App: "blog", State: []State{{Name: "data", Files: Place{Volume: "data"}}}}
		tt.change(p)
		spec, err := p.StateSpec(stack)
		if err != nil {
			spec = []byte(err.Error())
		}
		if !strings.Contains(string(spec), tt.want) {
			t.Errorf("%s: %s", name, spec)
		}
	}
}

func TestParsePlace(t *testing.T) {
	for text, want := range map[string]Place{
		"data": {"data", ""}, "data:": {"data", ""}, "data:.": {"data", ""}, "data:a/../b/": {"data", "b"}, "data:/b": {"data", "b"},
		"/srv//x/": {"", "/srv/x"}, "a.b-c_D:e f": {"a.b-c_D", "e f"}, "data:..b": {"data", "..b"},
	} {
		if got, ok := parsePlace(text); !ok || got != want {
			t.Errorf("%q: got %v %v, want %v", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", ":x", "data:..", "data:../x", "data:a/../../x", "a b:c", "./data", "data:a\nb", "~/x"} {
		if got, ok := parsePlace(bad); ok {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}
