package profiles

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// A composeFile is one compose file with every reference resolved.
type composeFile struct {
	src     *source
	tree    *node  // at its places in the source
	content []byte // to be read by compose-go
}

// readCompose reads the files that the profile names. It returns nil when one
// of them is not there.
func (c *checker) readCompose() []*source {
	var out []*source
	for i, name := range c.p.Compose {
		at := join("compose", itoa(i))
		text, err := ReadFile(name)
		if err != nil {
			c.wrong("file-missing", at, fileHint(err, "the path is relative to the profile"), "compose file %s: %s", quote(name), reason(err))
			continue
		}
		src := newSource(name, text)
		src.order = c.root.src.order + 1000 + i // after all profiles
		out = append(out, src)
	}
	if len(out) < len(c.p.Compose) {
		return nil
	}
	return out
}

// A preparer makes compose files ready for compose-go, which tells no lines.
type preparer struct {
	*report
	scope   *scope
	release string
	// passed is the environment that compose would take from its own process:
	// `environment: [NAME]`.
	passed map[string]string
}

// prepare parses and interpolates one file; nil after a syntax error.
func (p *preparer) prepare(src *source) *composeFile {
	doc, tree := parse(src, p.report, "begin with `services:`")
	if tree == nil {
		return nil
	}
	if tree.kind != kindMapping {
		p.errorf("wrong-type", tree.pos, "begin with `services:`", "a compose file must be a mapping, not %s", tree.describe())
		return nil
	}
	before := len(p.list)
	p.interpolate(src, doc.Content[0], nil)
	tree = grow(src, doc, p.report)
	p.otherFiles(tree)
	p.passThrough(tree)
	content, err := encode(doc)
	if err != nil {
		p.errorf("compose", src.start(), "", "cannot be written out again: %s", err)
	}
	if p.list[before:].HasErrors() {
		return nil
	}
	return &composeFile{src, tree, content}
}

// interpolate resolves references in all values, in place.
func (p *preparer) interpolate(src *source, y *yaml.Node, path []string) {
	switch y.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(y.Content); i += 2 {
			p.interpolate(src, y.Content[i+1], append(path[:len(path):len(path)], y.Content[i].Value))
		}
	case yaml.SequenceNode:
		for _, item := range y.Content {
			p.interpolate(src, item, append(path[:len(path):len(path)], "-"))
		}
	case yaml.ScalarNode:
		if y.ShortTag() == "!!str" || !strings.HasPrefix(y.ShortTag(), "!!") {
			p.scalar(src, y, path)
		}
	}
}

func (p *preparer) scalar(src *source, y *yaml.Node, path []string) {
	if !strings.Contains(y.Value, "$") {
		return
	}
	e := expander{lookup: p.scope.lookup}
	if len(path) == 3 && path[0] == "services" && path[2] == "image" {
		e.lookup = p.scope.inImage(p.release)
	}
	y.Value = e.composeText(y.Value)
	for _, c := range e.complaints {
		p.errorf("compose-variable", locate(pos{src, y.Line, y.Column}, c.ref), p.scope.hint(c), "%s", c.message)
	}
}

// otherFiles refuses what would read files that faults have no lines for and
// that the profile does not name.
func (p *preparer) otherFiles(root *node) {
	if n := root.get("include"); n != nil {
		p.errorf("not-on-the-droplet", root.keyOf("include"), "list the files under compose in the profile", "include is not followed")
	}
	services := root.get("services")
	if services == nil {
		return
	}
	for _, f := range services.fields {
		if file := f.value.get("extends").get("file"); file != nil {
			p.errorf("not-on-the-droplet", file.pos, "list the files under compose in the profile", "extends from another file is not followed")
		}
	}
}

// passThrough resolves `environment: [NAME]`, which compose would take from
// the operator's own environment.
func (p *preparer) passThrough(root *node) {
	for _, section := range []string{"services", "jobs"} {
		if s := root.get(section); s != nil {
			for _, f := range s.fields {
				p.environment(f.value.get("environment"))
				p.buildArgs(f.value)
			}
		}
	}
	for _, section := range []string{"secrets", "configs"} {
		if s := root.get(section); s != nil {
			for _, f := range s.fields {
				p.fromEnvironment(f.value.get("environment"))
			}
		}
	}
}

func (p *preparer) environment(env *node) {
	if env == nil {
		return
	}
	for _, f := range env.fields {
		if f.value.kind == kindNull {
			p.pass(f.key)
		}
	}
	for _, item := range env.items {
		if item.kind == kindScalar && !strings.Contains(item.value, "=") {
			p.pass(item)
		}
	}
}

func (p *preparer) pass(name *node) {
	text, is := p.scope.lookup(name.value)
	if is == unknownName {
		p.warnf("compose-variable", name.pos, p.scope.hint(complaint{name: name.value, ref: "${"}),
			"%s is taken from the environment, where nothing sets it", quote(name.value))
		return
	}
	p.passed[name.value] = text
}

// buildArgs resolves `args: [NAME]` likewise. What nothing sets is told when it
// is built: most releases build nothing.
func (p *preparer) buildArgs(service *node) {
	for _, name := range loneArgs(service) {
		if text, is := p.scope.lookup(name.value); is != unknownName {
			p.passed[name.value] = text
		}
	}
}

// loneArgs are the build arguments of a service that have a name alone.
func loneArgs(service *node) (names []*node) {
	args := service.get("build").get("args")
	if args == nil {
		return nil
	}
	for _, f := range args.fields {
		if f.value.kind == kindNull {
			names = append(names, f.key)
		}
	}
	for _, item := range args.items {
		if item.kind == kindScalar && !strings.Contains(item.value, "=") {
			names = append(names, item)
		}
	}
	return names
}

// fromEnvironment checks a compose secret or config that is made of a
// variable: on the droplet only secrets are in compose's environment.
func (p *preparer) fromEnvironment(name *node) {
	if name == nil || name.kind != kindScalar {
		return
	}
	if _, is := p.scope.lookup(name.value); is != secretName {
		p.errorf("secret-undefined", name.pos, "only names of the secrets file can be used here", "%s is not a secret", quote(name.value))
	}
}

// encode writes a document for compose-go, without comments and in a style
// that no value can break.
func encode(doc *yaml.Node) ([]byte, error) {
	doc.Content[0].Content = withoutVersion(doc.Content[0].Content)
	plain(doc)
	return yaml.Marshal(doc)
}

func plain(y *yaml.Node) {
	y.HeadComment, y.LineComment, y.FootComment = "", "", ""
	if y.Kind == yaml.ScalarNode {
		y.Style &^= yaml.LiteralStyle | yaml.FoldedStyle
		if strings.ContainsAny(y.Value, "\n\t") {
			y.Style |= yaml.DoubleQuotedStyle
		}
	}
	for _, sub := range y.Content {
		plain(sub)
	}
}

// withoutVersion drops `version:`, over which compose-go would print a
// warning of its own.
func withoutVersion(content []*yaml.Node) []*yaml.Node {
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == "version" {
			return append(content[:i:i], content[i+2:]...)
		}
	}
	return content
}
