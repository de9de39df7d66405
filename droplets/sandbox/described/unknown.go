package described

import (
	"fmt"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// unknown are the places in v that no schema of s speaks of. The description
// forbids additional fields nowhere, so a validator lets any through; but what
// is not described is not what the API answers.
func unknown(s *openapi3.Schema, v any, at string) (paths []string) {
	switch v := v.(type) {
	case []any:
		if items := itemsOf(s, v); items != nil {
			for i, item := range v {
				paths = append(paths, unknown(items, item, fmt.Sprintf("%s/%d", at, i))...)
			}
		}
	case map[string]any:
		fields := map[string][]*openapi3.Schema{}
		if free := collect(s, v, fields); free || len(fields) == 0 {
			return nil // an object of any fields
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if fields[name] == nil {
				paths = append(paths, at+"/"+name)
				continue
			}
			paths = append(paths, leastUnknown(fields[name], v[name], at+"/"+name)...)
		}
	}
	return paths
}

// leastUnknown is what the schema knows that knows most: where several
// describe one field they differ in depth, and each is right.
func leastUnknown(schemas []*openapi3.Schema, v any, at string) []string {
	var least []string
	for i, s := range schemas {
		if got := unknown(s, v, at); i == 0 || len(got) < len(least) {
			least = got
		}
	}
	return least
}

// collect gathers the schemas of an object's fields from all that make up s.
// Of alternatives only those count that the value is valid for.
func collect(s *openapi3.Schema, v any, fields map[string][]*openapi3.Schema) (free bool) {
	for name, f := range s.Properties {
		fields[name] = append(fields[name], f.Value)
	}
	if s.AdditionalProperties.Has != nil && *s.AdditionalProperties.Has || s.AdditionalProperties.Schema != nil {
		free = true
	}
	for _, part := range s.AllOf {
		free = collect(part.Value, v, fields) || free
	}
	for _, part := range slices.Concat(s.OneOf, s.AnyOf) {
		if part.Value.VisitJSON(v) == nil {
			free = collect(part.Value, v, fields) || free
		}
	}
	return free
}

func itemsOf(s *openapi3.Schema, v any) *openapi3.Schema {
	if s.Items != nil {
		return s.Items.Value
	}
	for _, part := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
		if part.Value.VisitJSON(v) == nil {
			if items := itemsOf(part.Value, v); items != nil {
				return items
			}
		}
	}
	return nil
}
