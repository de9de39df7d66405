package manual

import "strings"

// A Section is a part of the man page that no command has: its paragraphs, then
// its entries.
type Section struct {
	Title   string
	Text    []string
	Entries [][2]string // a term, and what it is
}

// A Page is a man page of section 1.
type Page struct {
	Root          Topic
	Version, Date string // as the page's foot has them; either may be ""
	Sections      []Section
}

// String is the page in the man macros, which groff and mandoc both read.
func (p Page) String() string {
	var b roff
	// The date as it is: with escaped hyphens it is none to mandoc.
	b.WriteString(".TH " + strings.ToUpper(p.Root.Name) + ` 1 "` + p.Date + `" "` + strings.TrimSpace(p.Root.Name+" "+p.Version) + "\"\n")
	b.macro("SH", "NAME")
	b.text(p.Root.Name + " - " + p.Root.Usage)
	b.macro("SH", "SYNOPSIS")
	b.text(p.Root.Name + " COMMAND [OPTIONS] [ARGUMENTS]")
	b.macro("SH", "DESCRIPTION")
	b.topic(p.Root)
	b.macro("SH", "COMMANDS")
	for _, t := range p.Root.Topics {
		b.command(t)
	}
	for _, s := range p.Sections {
		b.macro("SH", s.Title)
		b.paragraphs(s.Text)
		for _, e := range s.Entries {
			b.macro("TP")
			b.bold(e[0])
			b.text(e[1])
		}
	}
	return b.String()
}

// roff is a page in the making. headed says that a heading was the last thing:
// no paragraph begins behind one.
type roff struct {
	strings.Builder
	headed bool
}

func (b *roff) command(t Topic) {
	b.macro("SS", t.Synopsis())
	b.text(sentence(t.Usage))
	b.topic(t)
	for _, f := range t.Flags {
		b.macro("TP")
		b.bold(f.Spelled())
		b.text(sentence(f.says()))
	}
	for _, s := range t.Topics {
		b.command(s)
	}
}

// topic is a topic's text, and its examples.
func (b *roff) topic(t Topic) {
	b.paragraphs(t.paragraphs())
	if list := t.Examples(); len(list) > 0 {
		b.paragraph()
		b.macro("nf")
		for line := range strings.Lines(strings.TrimLeft(examples(list), "\n")) {
			b.WriteString(escape(strings.TrimPrefix(line, indent)))
		}
		b.macro("fi")
	}
}

func (b *roff) paragraphs(list []string) {
	for _, p := range list {
		b.paragraph()
		if !strings.HasPrefix(p, " ") {
			b.text(p)
			continue
		}
		b.macro("nf")
		b.WriteString(escape(p) + "\n")
		b.macro("fi")
	}
}

func (b *roff) paragraph() {
	if !b.headed {
		b.macro("PP")
	}
}

func (b *roff) macro(name string, args ...string) {
	b.WriteString("." + name)
	for _, a := range args {
		b.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `""`) + `"`)
	}
	b.WriteByte('\n')
	b.headed = name == "SH" || name == "SS"
}

func (b *roff) bold(s string) { b.WriteString(`\fB` + escape(s) + "\\fR\n") }

// text is a paragraph.
func (b *roff) text(s string) {
	b.WriteString(escape(strings.Join(strings.Fields(s), " ")) + "\n")
	b.headed = false
}

// escape keeps roff from taking text for its own: backslashes, dots and quotes
// that begin a line, and hyphens, which it would make typographic: a command
// that is copied out of the page has to be the one that is typed.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
