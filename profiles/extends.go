package profiles

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// shortest is what a newcomer can write into an empty file.
const shortest = "the shortest profile is four lines: app, domain, image, port"

// newcomer is the hint where there is no profile yet.
const newcomer = "write one: app: blog / domain: blog.example.com / image: ghcr.io/me/blog / port: 8000, or name it with --file"

// maxChain bounds extends where symbolic links hide a circle.
const maxChain = 16

// A reader reads profiles and what they extend.
type reader struct {
	*report
	chain []string // files being read, to find circles
	files int      // read so far
}

// profile reads a file and all that it extends, merged. It is nil after an
// error that leaves nothing to check.
func (r *reader) profile(path string) *node {
	text, err := ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.whole("file-missing", path, newcomer, "no such file")
		return nil
	case err != nil:
		r.whole("file-missing", path, fileHint(err, "name a file that you may read: --file cattle.yaml"), "cannot be read: %s", reason(err))
		return nil
	}
	return r.tree(r.number(newSource(path, text)), filepath.Dir(path))
}

func (r *reader) number(src *source) *source {
	r.files++
	src.order = r.files
	return src
}

// tree reads one source whose relative paths are meant from dir.
func (r *reader) tree(src *source, dir string) *node {
	_, root := parse(src, r.report, shortest)
	if root == nil {
		return nil
	}
	if root.kind != kindMapping {
		r.errorf("wrong-type", root.pos, shortest, "a profile must be a mapping, not %s", root.describe())
		return nil
	}
	r.domains(root)
	rebase(root, dir)
	ext := root.get("extends")
	if ext == nil || ext.kind != kindScalar {
		return root
	}
	r.chain = append(r.chain, src.name)
	defer func() { r.chain = r.chain[:len(r.chain)-1] }()
	if parent := r.parent(ext, dir); parent != nil {
		return merge(root, parent)
	}
	return root
}

// parent reads what `extends` names: a starter, or a file relative to dir.
func (r *reader) parent(ext *node, dir string) *node {
	if src, ok := starter(ext.value); ok {
		return restamp(r.tree(r.number(src), dir), ext.pos)
	}
	if !strings.ContainsAny(ext.value, "/.") {
		hint := didYouMean(ext.value, Starters())
		if hint == "" {
			hint = "starters are " + listed(Starters()) + "; a path has a / or a dot in it"
		}
		r.errorf("extends", ext.pos, hint, "no starter is called %s", quote(ext.value))
		return nil
	}
	path := within(dir, ext.value)
	if len(r.chain) > maxChain {
		r.errorf("extends", ext.pos, "", "extends goes deeper than %d files", maxChain)
		return nil
	}
	if i := slices.Index(r.chain, path); i >= 0 {
		r.errorf("extends", ext.pos, "", "extends goes round in a circle: %s", strings.Join(append(r.chain[i:len(r.chain):len(r.chain)], path), " -> "))
		return nil
	}
	text, err := ReadFile(path)
	if err != nil {
		hint := fileHint(err, "the path is relative to the file that says extends")
		r.errorf("extends", ext.pos, hint, "extends names %s: %s", quote(path), reason(err))
		return nil
	}
	return r.tree(r.number(newSource(path, text)), filepath.Dir(path))
}

// restamp gives what a starter says the place where the user asked for it.
func restamp(n *node, at pos) *node {
	if n == nil {
		return nil
	}
	n.pos = at
	for _, f := range n.fields {
		f.key.pos = at
		restamp(f.value, at)
	}
	for _, item := range n.items {
		restamp(item, at)
	}
	return n
}

// domains turns `domain: x` into `domains: x`, so that a parent's either is
// replaced by a child's either.
func (r *reader) domains(root *node) {
	one, many := root.index("domain"), root.index("domains")
	if one < 0 {
		return
	}
	if many >= 0 {
		r.errorf("keys-exclude", root.fields[max(one, many)].key.pos, "list them all under domains", "both domain and domains are given")
		root.fields = slices.Delete(root.fields, one, one+1)
		return
	}
	root.fields[one].key.value = "domains"
}

// merge lays child over parent: mappings merge, all else replaces. A null
// takes away what the parent says.
func merge(child, parent *node) *node {
	if child.kind != kindMapping || parent.kind != kindMapping {
		return child
	}
	out := *child
	out.fields = slices.Clone(child.fields)
	own := child.keys()
	for _, f := range parent.fields {
		if i, ok := own[f.key.value]; ok {
			out.fields[i].value = merge(out.fields[i].value, f.value)
		} else {
			out.fields = append(out.fields, f)
		}
	}
	return &out
}

// withoutNulls drops what says nothing, so that defaults come through.
func withoutNulls(n *node) *node {
	if n.kind != kindMapping {
		return n
	}
	out := *n
	out.fields = nil
	for _, f := range n.fields {
		if f.value.kind != kindNull {
			out.fields = append(out.fields, field{f.key, withoutNulls(f.value)})
		}
	}
	return &out
}

// rebase makes the local paths of a profile relative to where the user is,
// which is also how faults name them.
func rebase(root *node, dir string) {
	if c := root.get("compose"); c != nil {
		relocate(c, dir)
		for _, item := range c.items {
			relocate(item, dir)
		}
	}
	if s := root.get("secrets"); s != nil {
		relocate(s.get("file"), dir)
	}
	if f := root.get("files"); f != nil {
		for _, item := range f.items {
			relocate(item.get("from"), dir)
		}
	}
	if b := root.get("build"); b != nil {
		relocate(b.get("context"), dir)
	}
	if r := root.get("release"); r != nil {
		relocate(r.get("freeze_page"), dir)
	}
}

func relocate(n *node, dir string) {
	if n != nil && n.kind == kindScalar && n.value != "" {
		n.value = within(dir, n.value)
	}
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// reason is the cause of a file error without the path, which is said already.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}
