package profiles

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// parse reads the only document of a file. It returns the yaml.Node for those
// who write it out again and its tree; both are nil after an error.
func parse(src *source, r *report, emptyHint string) (*yaml.Node, *node) {
	dec := yaml.NewDecoder(strings.NewReader(string(src.text)))
	doc, err := decodeNode(dec)
	if errors.Is(err, io.EOF) {
		r.errorf("empty-file", src.start(), emptyHint, "the file is empty")
		return nil, nil
	}
	if err != nil {
		syntax(src, r, err)
		return nil, nil
	}
	if second, err := decodeNode(dec); err == nil {
		r.errorf("second-document", pos{src, second.Line, second.Column}, "remove the `---` and all that follows", "a second YAML document")
		return nil, nil
	} else if !errors.Is(err, io.EOF) {
		syntax(src, r, err)
		return nil, nil
	}
	tree := grow(src, doc, r)
	if tree == nil {
		return nil, nil
	}
	if tree.kind == kindNull {
		r.errorf("empty-file", src.start(), emptyHint, "the file is empty")
		return nil, nil
	}
	return doc, tree
}

// decodeNode keeps a panic of the parser from becoming ours.
func decodeNode(dec *yaml.Decoder) (n *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: %v", p)
		}
	}()
	n = &yaml.Node{}
	return n, dec.Decode(n)
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax reports what yaml.v3 could not parse.
func syntax(src *source, r *report, err error) {
	message := yamlError.ReplaceAllString(err.Error(), "")
	at := faultPlace(src, err)
	if hasTab(src.line(at.line)) {
		tabs(src, r)
		return
	}
	r.errorf("not-yaml", at, syntaxHint(message), "not valid YAML: %s", message)
}

// tabs reports every line that a tab indents: the cure is the same for all.
func tabs(src *source, r *report) {
	for i, line := range src.lines {
		if hasTab(line) {
			r.errorf("not-yaml", pos{src, i + 1, strings.IndexByte(line, '\t') + 1}, "indent with spaces", "a tab in the indentation")
		}
	}
}

func syntaxHint(message string) string {
	switch {
	case strings.Contains(message, "control characters"), strings.Contains(message, "UTF-8"), strings.Contains(message, "UTF-16"):
		return "is it the right file? a profile is text in UTF-8"
	case strings.Contains(message, "max depth"):
		return "is it the right file? nothing in a profile is nested so deeply"
	case strings.Contains(message, "mapping values are not allowed"):
		return "put quotes around a value that contains \": \", or check the indentation"
	case strings.Contains(message, "could not find expected ':'"):
		return "a key is followed by a colon and a space"
	case strings.Contains(message, "unknown anchor"), strings.Contains(message, "alphabetic or numeric"):
		return "put quotes around a value that begins with * or &"
	case strings.Contains(message, "cannot start any token"):
		return "put quotes around a value that begins with @, ` or %"
	case strings.Contains(message, "did not find expected key"), strings.Contains(message, "'-' indicator"):
		return "check the indentation"
	case strings.Contains(message, "unexpected end of stream"), strings.Contains(message, "did not find expected ','"):
		return "a quote or bracket is opened here and never closed"
	}
	return ""
}

// probeLines bounds the search of faultPlace, which parses once a line.
const probeLines = 500

// faultPlace finds where a syntax error begins. The line in yaml.v3's message
// is often that of the surrounding block, or one off; so the place is the end
// of the longest beginning of the file that still parses.
func faultPlace(src *source, err error) pos {
	if len(src.lines) > probeLines || len(src.text) > 64<<10 {
		return namedPlace(src, err)
	}
	good := len(src.lines) - 1
	for ; good > 0 && !parses(strings.Join(src.lines[:good], "\n")); good-- {
	}
	before := strings.Join(src.lines[:good], "\n") + "\n"
	line := []rune(src.line(good + 1))
	if len(line) > probeLines || !utf8.ValidString(string(line)) {
		return pos{src, good + 1, 1}
	}
	col := len(line) - 1
	for ; col > 0 && !parses(before+string(line[:col])); col-- {
	}
	return pos{src, good + 1, max(col, indentOf(line)) + 1}
}

// namedPlace is the place that yaml.v3 names.
func namedPlace(src *source, err error) pos {
	line := 1
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil && m[1] != "" {
		line = max(1, atoi(m[1]))
	}
	return pos{src, line, indentOf([]rune(src.line(line))) + 1}
}

func indentOf(line []rune) int {
	for i, r := range line {
		if r != ' ' {
			return i
		}
	}
	return 0
}

func parses(text string) bool {
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		_, err := decodeNode(dec)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
	}
}
