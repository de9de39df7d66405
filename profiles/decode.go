package profiles

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A place is where a value of the profile was written: validators name paths
// such as routes.0.to, and this tells the lines afterwards.
type place struct{ key, value pos }

// A decoder fills a struct from a tree by its yaml tags and reports all that
// does not fit, going on with the rest.
type decoder struct {
	*report
	places map[string]place
	// bad are paths that could not be filled: what is missing there has been
	// told already.
	bad map[string]bool
}

func (d *decoder) decode(path string, n *node, v reflect.Value) {
	if n.kind == kindNull {
		return
	}
	switch v.Type() {
	case reflect.TypeFor[time.Duration]():
		d.duration(path, n, v)
		return
	case reflect.TypeFor[Place]():
		d.place(path, n, v)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Type() == reflect.TypeFor[*Migrate]() && n.kind != kindMapping {
			d.alone(path, "command", n, v.Elem())
			return
		}
		d.decode(path, n, v.Elem())
	case reflect.Struct:
		d.structure(path, n, v)
	case reflect.Slice:
		d.slice(path, n, v)
	case reflect.Map:
		d.stringMap(path, n, v)
	case reflect.String:
		d.text(path, n, v)
	case reflect.Int:
		d.integer(path, n, v)
	case reflect.Bool:
		d.boolean(path, n, v)
	}
}

// wrong reports a value of the wrong type.
func (d *decoder) wrong(path string, n *node, want, hint string) {
	d.bad[path] = true
	if path == "" {
		path = "a profile"
	}
	d.errorf("wrong-type", n.pos, hint, "%s must be %s, not %s", path, want, n.describe())
}

func (d *decoder) structure(path string, n *node, v reflect.Value) {
	if n.kind != kindMapping {
		d.wrong(path, n, "a mapping", mappingHint(path, n))
		return
	}
	names := keysOf(v.Type())
	for _, f := range n.fields {
		if path == "" && strings.HasPrefix(f.key.value, "x-") {
			continue // a place for anchors, as in compose files
		}
		i := slices.Index(names, f.key.value)
		if i < 0 || f.key.value == "-" {
			d.unknown(path, f.key, names)
			continue
		}
		sub := join(path, f.key.value)
		d.places[sub] = place{f.key.pos, f.value.pos}
		d.decode(sub, f.value, v.Field(i))
	}
}

// A guess is the one key of a mapping that a lone value is most likely for.
type guess struct {
	path, key string
	fits      *regexp.Regexp
	example   string // where the value does not fit
}

var guesses = []guess{
	{"secrets", "file", regexp.MustCompile(`^[\w/.][\w./-]*\.(env|ya?ml|json)$`), "secrets.env"},
	{"mail", "relay", regexp.MustCompile(`^[\w-]+(\.[\w-]+)+$`), "smtp.example.com"},
	{"build", "context", regexp.MustCompile(`^\.{0,2}[\w./-]*$`), "."},
	{"health", "path", regexp.MustCompile(`^/[\w./-]*$`), "/up"},
	{"droplet", "region", regexp.MustCompile(`^[a-z]{3}[0-9]$`), "nyc3"},
	{"droplet", "size", regexp.MustCompile(`^[a-z][a-z0-9.]*(-[a-z0-9.]+)+$`), "s-1vcpu-1gb"},
}

// mappingHint writes a lone value as the mapping that it was meant for.
func mappingHint(path string, n *node) string {
	hint := "write it as `key: value` lines"
	if n.kind != kindScalar {
		return hint
	}
	for _, g := range guesses {
		if g.path != path {
			continue
		}
		if n.shows() && g.fits.MatchString(n.value) {
			return g.path + ": {" + g.key + ": " + n.value + "}"
		}
		hint = g.path + ": {" + g.key + ": " + g.example + "}"
	}
	return hint
}

// keysOf returns the YAML keys of a struct by field index, "-" for none.
func keysOf(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		if names[i] = t.Field(i).Tag.Get("yaml"); names[i] == "" {
			names[i] = "-"
		}
	}
	return names
}

// unknown reports a key; the one that was meant is then not called missing.
func (d *decoder) unknown(path string, key *node, names []string) {
	if meant, ok := Nearest(key.value, names); ok {
		d.bad[join(path, meant)] = true
	}
	d.errorf("unknown-key", key.pos, unknownHint(key.value, names), "unknown key %s", quote(key.value))
}

func unknownHint(key string, names []string) string {
	if hint := didYouMean(key, names); hint != "" {
		return hint
	}
	known := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "-" })
	return "known here: " + listed(known)
}

func (d *decoder) slice(path string, n *node, v reflect.Value) {
	elem := v.Type().Elem()
	switch {
	case n.kind == kindSequence:
		d.items(path, n, v)
	case n.kind == kindScalar && v.Type() == reflect.TypeFor[Command]():
		d.command(path, n, v)
	case n.kind == kindScalar && elem.Kind() == reflect.String:
		one := reflect.New(elem).Elem()
		d.places[join(path, "0")] = place{n.pos, n.pos}
		d.text(path, n, one)
		v.Set(reflect.Append(v, one))
	default:
		d.wrong(path, n, "a list", "begin each item with `- `")
	}
}

func (d *decoder) items(path string, n *node, v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		sub := join(path, itoa(i))
		d.places[sub] = place{item.pos, item.pos}
		if item.kind == kindNull {
			d.bad[sub] = true
			d.errorf("empty-item", item.pos, "remove the lone `-` or write something after it", "%s is empty", sub)
			continue
		}
		d.decode(sub, item, v.Index(i))
	}
}

// alone reads the one value of a mapping that is most often given by itself.
func (d *decoder) alone(path, key string, n *node, v reflect.Value) {
	sub := join(path, key)
	d.places[sub] = place{n.pos, n.pos}
	d.decode(sub, n, v.Field(slices.Index(keysOf(v.Type()), key)))
}

// place reads VOLUME, VOLUME:PATH or an absolute path.
func (d *decoder) place(path string, n *node, v reflect.Value) {
	if n.kind != kindScalar {
		d.wrong(path, n, "text", "such as data:blog.db")
		return
	}
	at, ok := parsePlace(n.value)
	if !ok {
		d.bad[path] = true
		d.errorf("wrong-form", n.pos, "a volume such as data, a path in one such as data:blog.db, or an absolute path on the droplet",
			"%s is not a place: %s", path, quote(n.value))
		return
	}
	v.Set(reflect.ValueOf(at))
}

// command splits a string into the words of a command.
func (d *decoder) command(path string, n *node, v reflect.Value) {
	words, complaint := splitWords(n.value)
	if complaint != "" {
		d.bad[path] = true
		d.errorf("command", n.pos, `write it as ["sh", "-c", "…"]`, "%s %s", path, complaint)
		return
	}
	v.Set(reflect.ValueOf(Command(words)))
}

func (d *decoder) stringMap(path string, n *node, v reflect.Value) {
	if n.kind != kindMapping {
		d.wrong(path, n, "a mapping", "write it as `NAME: value` lines")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.fields)))
	for _, f := range n.fields {
		sub := join(path, f.key.value)
		d.places[sub] = place{f.key.pos, f.value.pos}
		text := reflect.New(v.Type().Elem()).Elem()
		if f.value.kind != kindNull {
			d.text(sub, f.value, text)
		}
		v.SetMapIndex(reflect.ValueOf(f.key.value), text)
	}
}

// text takes any scalar as it was typed: 0644 and 1.10 mean themselves.
func (d *decoder) text(path string, n *node, v reflect.Value) {
	if n.kind != kindScalar {
		d.wrong(path, n, "text", "")
		return
	}
	v.SetString(n.value)
}

func (d *decoder) integer(path string, n *node, v reflect.Value) {
	i, err := strconv.Atoi(n.value)
	if n.kind != kindScalar || n.tag != "!!int" || err != nil {
		hint := ""
		if n.kind == kindScalar && err == nil {
			hint = "write it without quotes: " + n.value
		}
		d.wrong(path, n, "a whole number", hint)
		return
	}
	v.SetInt(int64(i))
}

func (d *decoder) boolean(path string, n *node, v reflect.Value) {
	b, err := strconv.ParseBool(n.value)
	if n.kind != kindScalar || n.tag != "!!bool" || err != nil {
		d.wrong(path, n, "true or false", "")
		return
	}
	v.SetBool(b)
}

func (d *decoder) duration(path string, n *node, v reflect.Value) {
	if n.kind != kindScalar {
		d.wrong(path, n, "a duration", "such as 30s, 10m or 7d")
		return
	}
	dur, ok := parseDuration(n.value)
	if !ok {
		d.bad[path] = true
		hint := "such as 30s, 10m or 7d"
		if n.tag == "!!int" && !strings.HasPrefix(n.value, "-") {
			hint = "with its unit, such as " + n.value + "s"
		}
		d.errorf("duration", n.pos, hint, "%s is not a duration: %s", path, quote(n.value))
		return
	}
	v.SetInt(int64(dur))
}
