package profiles

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
)

// notShown stands for a value that is not for whoever reads about a release:
// it may be a secret that was not taken for one.
const notShown = "…"

// Lines are the profile in one form, to be compared with another: a line a key
// that has a value, starters and defaults filled in, paths as the profile's
// folder has them. Values of env, of build arguments and of files, and
// addresses that notices are posted to, are not in it.
func (p *Profile) Lines() []string {
	l := lister{dir: p.Dir}
	l.fields(reflect.ValueOf(*p), "")
	return l.out
}

type lister struct {
	dir string
	out []string
}

func (l *lister) fields(v reflect.Value, prefix string) {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		l.value(v.Field(i), prefix+key)
	}
}

func (l *lister) value(v reflect.Value, path string) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if at, ok := v.Interface().(Place); ok {
		if at != (Place{}) {
			l.add(path, at.String())
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		l.fields(v, path+".")
	case reflect.Map:
		for _, key := range slices.Sorted(mapKeys(v)) {
			l.add(path+"."+key, notShown)
		}
	case reflect.Slice:
		l.list(v, path)
	default:
		l.scalar(v, path)
	}
}

func mapKeys(v reflect.Value) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, key := range v.MapKeys() {
			if !yield(key.String()) {
				return
			}
		}
	}
}

// list has a line an item, or for mappings a line each of their keys.
func (l *lister) list(v reflect.Value, path string) {
	if command, ok := v.Interface().(Command); ok {
		if len(command) > 0 {
			l.add(path, fmt.Sprintf("%q", []string(command)))
		}
		return
	}
	for i := range v.Len() {
		if v.Index(i).Kind() == reflect.Struct {
			l.fields(v.Index(i), fmt.Sprintf("%s.%d.", path, i))
		} else {
			l.scalar(v.Index(i), path)
		}
	}
}

func (l *lister) scalar(v reflect.Value, path string) {
	switch value := v.Interface().(type) {
	case time.Duration:
		l.add(path, value.String())
	case bool:
		if value {
			l.add(path, "true")
		}
	case int:
		l.add(path, itoa(value))
	default:
		if text := v.String(); text != "" {
			l.add(path, l.text(text, path))
		}
	}
}

// text leaves a plain value as it is, and makes a path what it is from the
// profile's folder, which is another one on each computer.
func (l *lister) text(s, path string) string {
	first, _, _ := strings.Cut(path, ".")
	switch last := path[strings.LastIndexByte(path, '.')+1:]; {
	case first == "files" && last == "content", first == "notify" && (last == "webhook" || last == "ntfy") && !strings.HasPrefix(s, EnvPrefix):
		return notShown
	case path == "compose", path == "secrets.file", path == "build.context", path == "release.freeze_page", first == "files" && last == "from":
		if from, err := filepath.Rel(l.dir, s); err == nil {
			s = from
		}
	}
	if s != strings.TrimSpace(s) || strings.ContainsFunc(s, isControl) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

func (l *lister) add(path, value string) { l.out = append(l.out, path+": "+value) }
