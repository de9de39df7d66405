package docs

import (
	_ "embed"
	"regexp"
	"strings"
)

//go:embed profile.md
var profile string

// A Key is what profile.md says of a key of cattle.yaml: its default, between
// backquotes where that is a value, and what it is for.
type Key struct{ Default, About string }

var (
	keyRow   = regexp.MustCompile("(?m)^\\| `([a-z0-9_.\\[\\]]+)` \\| *(.*?) *\\| *(.*?) *\\|$")
	linkText = regexp.MustCompile(`,? ?\(?\[([^\]]*)\]\([^)]*\)\)?`)
	seeBelow = regexp.MustCompile(`,? see \[[^\]]*\]\([^)]*\)`)
)

// Keys are those of the tables of profile.md, by path: routes[].to. Links are
// taken out, since they lead nowhere outside of the page.
func Keys() map[string]Key {
	out := map[string]Key{}
	for _, row := range keyRow.FindAllStringSubmatch(profile, -1) {
		about := seeBelow.ReplaceAllString(row[3], "")
		about = linkText.ReplaceAllStringFunc(about, func(link string) string {
			return link[:strings.IndexByte(link, '[')] + linkText.FindStringSubmatch(link)[1]
		})
		out[row[1]] = Key{row[2], about}
	}
	return out
}
