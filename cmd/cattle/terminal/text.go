package terminal

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Width is how many columns a text takes: an ideograph takes two, a combining
// character none.
func Width(s string) int { return uniseg.StringWidth(s) }

// Cut is the beginning of a text that fits in so many columns, with an ellipsis
// where something is left out. No character is cut in two.
func Cut(s string, columns int) string {
	if Width(s) <= columns {
		return s
	}
	var b strings.Builder
	left := columns - 1 // for the ellipsis
	for state := -1; s != ""; {
		var cluster string
		var width int
		cluster, s, width, state = uniseg.FirstGraphemeClusterInString(s, state)
		if left -= width; left < 0 {
			break
		}
		b.WriteString(cluster)
	}
	if columns > 0 {
		b.WriteString("…")
	}
	return b.String()
}

// Pad fills a text up with spaces to so many columns.
func Pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-Width(s)))
}

// Fold breaks a text at word ends, so that no line is longer than columns (0:
// not at all) unless one word is, and indents what follows the first line.
func Fold(text string, columns, indent int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := Width(word)
		switch {
		case column == 0:
		case columns > 0 && column+1+n > columns:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
