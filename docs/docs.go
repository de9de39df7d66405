// Package docs has the pages that `cattle explain` prints: with the binary they
// are there offline, and of its own version.
package docs

import (
	"embed"
	"regexp"
	"strings"
)

//go:embed errors.md diagnostics.md
var pages embed.FS

// Page names, in the order of Sections.
const (
	Errors      = "errors.md"
	Diagnostics = "diagnostics.md"
)

// A Section is about one kind of failure, or one kind of fault of a profile.
type Section struct {
	Code  string // its heading
	Gist  string // its first sentence, in one line
	Text  string // what follows the heading
	Page  string
	Group string // the heading that it stands below
}

var (
	sectionHead = regexp.MustCompile(`(?m)^(##|###) (.*)$`)
	comment     = regexp.MustCompile(`(?s)<!--.*?-->\n*`)
)

// Sections are those of both pages, in their order.
func Sections() (out []Section) {
	for _, page := range []string{Errors, Diagnostics} {
		raw, err := pages.ReadFile(page)
		if err != nil {
			panic(err) // it is embedded
		}
		out = append(out, sectionsOf(page, comment.ReplaceAllString(string(raw), ""))...)
	}
	return out
}

func sectionsOf(page, text string) (out []Section) {
	heads := append(sectionHead.FindAllStringSubmatchIndex(text, -1), []int{len(text)})
	group := ""
	for i, h := range heads[:len(heads)-1] {
		title := text[h[4]:h[5]]
		if text[h[2]:h[3]] == "##" {
			group = title
			continue
		}
		body := strings.TrimSpace(text[h[1]:heads[i+1][0]])
		out = append(out, Section{Code: title, Gist: gist(body), Text: body, Page: page, Group: group})
	}
	return out
}

// gist is the first sentence of a text.
func gist(text string) string {
	paragraph, _, _ := strings.Cut(text, "\n\n")
	line := strings.Join(strings.Fields(paragraph), " ")
	if sentence, _, more := strings.Cut(line, ". "); more {
		return sentence
	}
	return strings.TrimSuffix(line, ".")
}
