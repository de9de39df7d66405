package manual

import (
	"strings"
	"unicode/utf8"
)

// columns is how wide help is: what every terminal has.
const columns = 80

// Help is the topic for a reader at a terminal: examples first, for that is
// what most look for.
func Help(t Topic) string {
	var b strings.Builder
	b.WriteString(fill(t.Name+": "+t.Usage, 0) + "\n")
	b.WriteString(examples(t.Examples()))
	b.WriteString("\nUsage: " + t.Synopsis() + "\n")
	for _, p := range t.paragraphs() {
		b.WriteString("\n" + paragraph(p))
	}
	if len(t.Topics) > 0 {
		b.WriteString("\nCommands:\n" + Commands(t))
	}
	if len(t.Flags) > 0 {
		b.WriteString("\nOptions:\n" + options(t.Flags))
	}
	return b.String()
}

// Overview is the program as a whole: what its commands are for, then all of
// them, then the foot.
func Overview(t Topic, foot string) string {
	return fill(t.Name+": "+t.Usage, 0) + "\n" + examples(t.Examples()) + "\nCommands:\n" + Commands(t) + "\n" + fill(foot, 0) + "\n"
}

// Commands are the commands of a topic, a line each.
func Commands(t Topic) string {
	var rows [][2]string
	for _, s := range t.Topics {
		rows = append(rows, [2]string{s.Word(), s.Usage})
	}
	return table(rows, 20)
}

func options(flags []Flag) string {
	var rows [][2]string
	for _, f := range flags {
		rows = append(rows, [2]string{f.Spelled(), f.says()})
	}
	return table(rows, 26)
}

func examples(list []Example) string {
	if len(list) == 0 {
		return ""
	}
	var rows [][2]string
	for _, e := range list {
		rows = append(rows, [2]string{e.Line, e.Says})
	}
	return "\n" + table(rows, 44)
}

// table sets two columns, the first one as wide as its widest entry that is not
// wider than most. What is wider than that has a line of its own.
func table(rows [][2]string, most int) string {
	wide := 0
	for _, r := range rows {
		if n := utf8.RuneCountInString(r[0]); n <= most {
			wide = max(wide, n)
		}
	}
	at := len(indent) + wide + 2
	var b strings.Builder
	for _, r := range rows {
		n := utf8.RuneCountInString(r[0])
		b.WriteString(indent + r[0])
		switch {
		case r[1] == "":
		case n > wide:
			b.WriteString("\n" + strings.Repeat(" ", at) + fill(r[1], at))
		default:
			b.WriteString(strings.Repeat(" ", wide-n+2) + fill(r[1], at))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// paragraph is filled anew, unless it is indented.
func paragraph(p string) string {
	if strings.HasPrefix(p, " ") {
		return p + "\n"
	}
	return fill(p, 0) + "\n"
}

// fill breaks text at spaces so that it fits, with all lines but the first at
// that column.
func fill(text string, at int) string {
	var b strings.Builder
	room := columns - at
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case room < n+1:
			b.WriteString("\n" + strings.Repeat(" ", at))
			room = columns - at
		default:
			b.WriteString(" ")
			room--
		}
		b.WriteString(word)
		room -= n
	}
	return b.String()
}
