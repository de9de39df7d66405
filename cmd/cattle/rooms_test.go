package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the table of docs/ARCHITECTURE.md: which of our rooms a room may
// import. Data flows one way.
func mayImport() map[string][]string {
	return map[string][]string{
		"cattle/profiles":                  {},
		"cattle/secrets":                   {},
		"cattle/examples":                  {},
		"cattle/docs":                      {},
		"cattle/profiles/guess":            {"cattle/profiles", "cattle/secrets"},
		"cattle/cmd/cattle/editor":         {},
		"cattle/cmd/cattle/builder":        {"cattle/profiles"},
		"cattle/cloudinit":                 {"cattle/profiles", "cattle/secrets"},
		"cattle/droplets":                  {},
		"cattle/droplets/release":          {"cattle/droplets", "cattle/droplets/release/probe"},
		"cattle/droplets/release/probe":    {},
		"cattle/droplets/measure":          {"cattle/droplets", "cattle/droplets/release/probe"},
		"cattle/droplets/look":             {"cattle/droplets"},
		"cattle/droplets/sandbox":          {},
		"cattle/droplets/sandbox/nspawn":   {"cattle/droplets/sandbox"},
		"cattle/droplets/sandbox/internet": {},
		"cattle/cmd/cattle/terminal":       {},
		"cattle/cmd/cattle/heap":           {},
		"cattle/cmd/cattle/manual":         {},
		"cattle/cmd/cattle/hook":           {},
		"cattle/cmd/cattle/notify":         {},
		"cattle/cmd/cattle/timer":          {},
		"cattle/cmd/cattle/page":           {"cattle/droplets", "cattle/droplets/release", "cattle/droplets/release/probe"},
		// For tests alone: no room imports them.
		"cattle/droplets/cloudtest":          {},
		"cattle/droplets/release/simulation": {"cattle/droplets", "cattle/droplets/release", "cattle/droplets/release/probe", "cattle/droplets/sandbox", "cattle/droplets/sandbox/described"},
		"cattle/droplets/sandbox/described":  {},
		"cattle/cmd/cattle": {"cattle/profiles", "cattle/secrets", "cattle/cloudinit", "cattle/droplets", "cattle/droplets/release",
			"cattle/droplets/release/probe", "cattle/droplets/sandbox", "cattle/droplets/sandbox/nspawn",
			"cattle/droplets/sandbox/internet", "cattle/droplets/measure", "cattle/droplets/look", "cattle/examples", "cattle/docs",
			"cattle/profiles/guess", "cattle/cmd/cattle/editor", "cattle/cmd/cattle/terminal", "cattle/cmd/cattle/page",
			"cattle/cmd/cattle/heap", "cattle/cmd/cattle/manual", "cattle/cmd/cattle/builder",
			"cattle/cmd/cattle/hook", "cattle/cmd/cattle/notify", "cattle/cmd/cattle/timer"},
	}
}

// onlyIn says which rooms may import a library.
func onlyIn() map[string][]string {
	return map[string][]string{
		"gopkg.in/yaml.v3":                    {"cattle/profiles", "cattle/droplets/sandbox", "cattle/secrets"}, // the last for .sops.yaml
		"github.com/compose-spec/compose-go/": {"cattle/profiles"},
		"github.com/getsops/sops/":            {"cattle/secrets"},
		"filippo.io/age":                      {"cattle/secrets"},
		"github.com/digitalocean/godo":        {"cattle/droplets"},
		// The sandbox has the server's side of SSH, and its internet one of SFTP.
		"golang.org/x/crypto/ssh":           {"cattle/droplets", "cattle/droplets/sandbox", "cattle/droplets/sandbox/internet"},
		"github.com/pkg/sftp":               {"cattle/droplets/sandbox/internet"},
		"github.com/johannesboyne/gofakes3": {"cattle/droplets/sandbox/internet"},
		"github.com/urfave/cli/":            {"cattle/cmd/cattle"},
		"github.com/rivo/uniseg":            {"cattle/cmd/cattle/terminal"},
		// In tests' rooms alone, so never in the binary.
		"github.com/getkin/kin-openapi/": {"cattle/droplets/sandbox/described"},
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func ourPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "cattle/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestRoomsImportOneWay(t *testing.T) {
	rooms := mayImport()
	for _, p := range ourPackages(t) {
		allowed, known := rooms[p.ImportPath]
		if !known {
			t.Errorf("%s is no room of docs/ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "cattle/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
			for library, in := range onlyIn() {
				if (imported == library || strings.HasPrefix(imported, strings.TrimSuffix(library, "/")+"/")) && !slices.Contains(in, p.ImportPath) {
					t.Errorf("%s imports %s, which belongs in %v", p.ImportPath, imported, in)
				}
			}
		}
	}
}
