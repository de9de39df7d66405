package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"cattle/profiles"
)

// TestEveryKeyIsDocumented holds docs/profile.md complete.
func TestEveryKeyIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/profile.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range profileKeys(reflect.TypeFor[profiles.Profile](), "") {
		if !strings.Contains(string(page), "| `"+key+"` |") {
			t.Errorf("docs/profile.md has no row for `%s`", key)
		}
	}
}

func profileKeys(t reflect.Type, prefix string) (keys []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, kind := prefix+f.Tag.Get("yaml"), f.Type
		if key == prefix || key == "-" {
			continue
		}
		for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct {
			if kind.Kind() == reflect.Slice {
				key += "[]"
			}
			kind = kind.Elem()
		}
		if kind.Kind() == reflect.Struct {
			keys = append(keys, profileKeys(kind, key+".")...)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// TestDocumentsPointSomewhere follows the documents' links among themselves,
// and finds the tests that they name.
func TestDocumentsPointSomewhere(t *testing.T) {
	tests := testNames(t)
	for _, path := range documents(t) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(string(raw), -1) {
			to := path
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(path), m[1])
			}
			if !linkHolds(to, m[2]) {
				t.Errorf("%s: %s leads nowhere", path, m[0])
			}
		}
		for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(raw), -1) {
			if !tests[name[1]] {
				t.Errorf("%s: there is no test %s", path, name[1])
			}
		}
	}
}

// linkHolds tells whether a file is there and has a heading of that anchor,
// which is the heading as GitHub spells it in links.
func linkHolds(path, anchor string) bool {
	if _, err := os.Stat(path); err != nil || anchor == "" {
		return err == nil
	}
	raw, _ := os.ReadFile(path) // without its text there is no heading
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(raw), -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}

func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := os.ReadFile(filepath.Join("../..", path))
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(raw, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
