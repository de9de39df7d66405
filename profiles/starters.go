package profiles

import (
	"embed"
	"sort"
	"strings"
)

//go:embed starters/*.yaml
var starterFiles embed.FS

// baseStarter holds every default that is one value in one place. It lies
// under each profile, whatever that extends.
const baseStarter = "web"

// Starters returns the names that `extends` knows, sorted.
func Starters() []string {
	entries, err := starterFiles.ReadDir("starters")
	if err != nil {
		return nil // cannot be: the folder is embedded
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	sort.Strings(names)
	return names
}

// starter returns an embedded starter. Its name in faults is one that no file has.
func starter(name string) (*source, bool) {
	text, err := starterFiles.ReadFile("starters/" + name + ".yaml")
	if err != nil {
		return nil, false
	}
	return newSource("starter "+name, text), true
}
