package profiles

import (
	"slices"
	"strconv"
	"strings"
)

func quote(s string) string { return strconv.Quote(s) }
func itoa(n int) string     { return strconv.Itoa(n) }

// atoi is for digits that a pattern has matched; too many of them give 0.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// didYouMean is a hint naming the known word nearest to a wrong one, or ""
// when none is near.
func didYouMean(word string, known []string) string {
	if best, ok := Nearest(word, known); ok {
		return "did you mean " + quote(best) + "?"
	}
	return ""
}

// Nearest is the known word that word was probably meant to be; false when none
// is near.
func Nearest(word string, known []string) (string, bool) {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(word) > 100 {
			break
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best, best != ""
}

// distance counts insertions, deletions, changes and swaps of neighbours
// (optimal string alignment), so that "prot" is 1 from "port".
func distance(a, b string) int {
	var older []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := prev[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(prev[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, prev = prev, row
	}
	return prev[len(b)]
}

// splitWords splits a command as a shell would. It returns what it cannot do
// without a shell as a complaint.
func splitWords(s string) (words []string, complaint string) {
	var word strings.Builder
	inWord := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
			continue
		case c == '\'' || c == '"':
			end, text, bad := quoted(s, i)
			if bad != "" {
				return nil, bad
			}
			word.WriteString(text)
			i = end
		case c == '\\':
			if i++; i == len(s) {
				return nil, "ends in a backslash"
			}
			word.WriteByte(s[i])
		case strings.IndexByte("|&;<>`$()", c) >= 0:
			return nil, "needs a shell for " + quote(string(c))
		default:
			word.WriteByte(c)
		}
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, ""
}

// quoted reads the quoted text that begins at s[start]; end is its last byte.
func quoted(s string, start int) (end int, text, complaint string) {
	mark := s[start]
	var b strings.Builder
	for i := start + 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == mark:
			return i, b.String(), ""
		case mark == '"' && (c == '$' || c == '`'):
			return 0, "", "needs a shell for " + quote(string(c))
		case mark == '"' && c == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return 0, "", "has a quote that is never closed"
}

// join adds a key to a path such as routes.0.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// listed is "a, b and c".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
