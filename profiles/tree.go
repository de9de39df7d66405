package profiles

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

type kind uint8

const (
	kindNull kind = iota
	kindScalar
	kindMapping
	kindSequence
)

// A node is a YAML value that remembers its place, with aliases and merge
// keys resolved. Unlike yaml.Node it knows its file, so that nodes of several
// files can be merged into one tree.
type node struct {
	pos
	kind   kind
	tag    string // short, such as !!int
	value  string
	fields []field // of a mapping, in the order of the file
	items  []*node // of a sequence
}

type field struct{ key, value *node }

// get returns the value of a key, nil when there is none, when it is null, and
// when n is no mapping or nil itself.
func (n *node) get(key string) *node {
	if i := n.index(key); i >= 0 && n.fields[i].value.kind != kindNull {
		return n.fields[i].value
	}
	return nil
}

// keyOf is where a key is written, or the mapping when it is not there.
func (n *node) keyOf(key string) pos {
	if i := n.index(key); i >= 0 {
		return n.fields[i].key.pos
	}
	return n.pos
}

func (n *node) index(key string) int {
	if n == nil || n.kind != kindMapping {
		return -1
	}
	return slices.IndexFunc(n.fields, func(f field) bool { return f.key.value == key })
}

// keys is index for those who ask for every key of a large mapping.
func (n *node) keys() map[string]int {
	out := make(map[string]int, len(n.fields))
	for i, f := range n.fields {
		out[f.key.value] = i
	}
	return out
}

// describe says in a user's words what a node is.
func (n *node) describe() string {
	switch n.kind {
	case kindMapping:
		return "a mapping"
	case kindSequence:
		return "a list"
	case kindNull:
		return "nothing"
	}
	shows := n.shows()
	switch n.tag {
	case "!!int", "!!float":
		if shows {
			return "the number " + n.value
		}
		return "a number"
	case "!!bool":
		if shows {
			return n.value
		}
		return "a boolean"
	}
	if shows {
		return "the text " + quote(n.value)
	}
	return "text"
}

// maxNodes bounds a tree: a few aliases of aliases would fill the memory.
const maxNodes = 100_000

// maxKeys bounds a mapping: the YAML reader of compose-go compares each key
// with each, which takes half a minute for 100,000 of them.
const maxKeys = 10_000

// A grower turns yaml.Nodes into nodes and reports what YAML forbids but
// yaml.v3 lets pass in Node form.
type grower struct {
	*report
	src   *source
	count int
	open  []*yaml.Node // aliases being expanded
	// aliased says that there was one.
	aliased bool
}

// grow returns the tree of a document, nil after an error.
func grow(src *source, doc *yaml.Node, r *report) *node {
	g := &grower{report: r, src: src}
	before := len(r.list)
	root := g.node(doc)
	switch {
	case g.full() && g.aliased:
		g.errorf("too-large", src.start(), "write out what is needed", "aliases make this file larger than %d values", maxNodes)
	case g.full():
		g.errorf("too-large", src.start(), "is it the right file?", "the file has more than %d values", maxNodes)
	}
	if len(r.list) > before {
		return nil
	}
	return root
}

// full says that the walk is to end.
func (g *grower) full() bool { return g.count > maxNodes }

func (g *grower) at(y *yaml.Node) pos { return pos{g.src, y.Line, y.Column} }

func (g *grower) node(y *yaml.Node) *node {
	n := &node{pos: g.at(y)}
	if g.count++; g.full() {
		return n
	}
	switch y.Kind {
	case yaml.DocumentNode:
		return g.node(y.Content[0])
	case yaml.AliasNode:
		return g.alias(y)
	case yaml.MappingNode:
		n.kind = kindMapping
		g.mapping(n, y)
	case yaml.SequenceNode:
		n.kind = kindSequence
		for i := 0; i < len(y.Content) && !g.full(); i++ {
			n.items = append(n.items, g.node(y.Content[i]))
		}
	case yaml.ScalarNode:
		g.scalar(n, y)
	}
	return n
}

func (g *grower) scalar(n *node, y *yaml.Node) {
	n.tag, n.value = y.ShortTag(), y.Value
	if n.tag != "!!null" {
		n.kind = kindScalar
	}
}

func (g *grower) alias(y *yaml.Node) *node {
	if slices.Contains(g.open, y.Alias) {
		g.errorf("not-yaml", g.at(y), "", "alias *%s stands inside its own anchor", y.Value)
		return &node{pos: g.at(y)}
	}
	g.aliased = true
	g.open = append(g.open, y.Alias)
	defer func() { g.open = g.open[:len(g.open)-1] }()
	return g.node(y.Alias)
}

func (g *grower) mapping(n *node, y *yaml.Node) {
	var merges []*yaml.Node
	seen := map[string]int{} // where in n.fields
	for i := 0; i+1 < len(y.Content) && !g.full(); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			g.errorf("not-yaml", g.at(key), "", "a key must be text, not a list or a mapping")
		case key.ShortTag() == "!!merge":
			merges = append(merges, value)
		default:
			g.field(n, seen, key, value)
		}
	}
	for _, m := range merges {
		g.merge(n, seen, m)
	}
	if len(n.fields) > maxKeys && !g.full() {
		g.errorf("too-large", n.pos, "is it the right file?", "a mapping of more than %d keys", maxKeys)
	}
}

func (g *grower) field(n *node, seen map[string]int, key, value *yaml.Node) {
	k := &node{pos: g.at(key), kind: kindScalar, tag: key.ShortTag(), value: key.Value}
	if i, ok := seen[key.Value]; ok {
		first := n.fields[i].key
		g.errorf("duplicate-key", k.pos, "keep one of them: the first is on line "+itoa(first.line), "duplicate key %s", quote(key.Value))
		return
	}
	seen[key.Value] = len(n.fields)
	n.fields = append(n.fields, field{k, g.node(value)})
}

// merge adds what `<<: *anchor` or `<<: [*a, *b]` brings; keys that are there
// already stay.
func (g *grower) merge(n *node, seen map[string]int, y *yaml.Node) {
	from := g.node(y)
	list := []*node{from}
	if from.kind == kindSequence {
		list = from.items
	}
	for _, m := range list {
		if m.kind != kindMapping {
			g.errorf("not-yaml", g.at(y), "write `<<: *name` with &name before a mapping", "a merge key needs a mapping, not %s", m.describe())
			return
		}
		for _, f := range m.fields {
			if _, ok := seen[f.key.value]; !ok {
				seen[f.key.value] = len(n.fields)
				n.fields = append(n.fields, f)
			}
		}
	}
}

// hasTab says whether a line is indented with a tab.
func hasTab(line string) bool {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	return strings.Contains(indent, "\t") && strings.TrimSpace(line) != ""
}
