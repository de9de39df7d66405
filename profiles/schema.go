package profiles

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Key is what the documentation says of a key: the default as it is written
// there, between backquotes where it is a value, and what the key is for.
type Key struct{ Default, About string }

// A Schema is a JSON Schema, draft 7, which editors know.
type Schema map[string]any

// SchemaOf describes cattle.yaml for editors: what the decoder takes, and of
// what the checks ask for all that a pattern can say. So a profile that loads is
// valid; one that is valid may still have faults. about knows the keys by
// their paths, such as routes[].to.
func SchemaOf(about func(path string) Key) ([]byte, error) {
	s := schemer{about, schemaLimits()}
	out := s.structure("", reflect.TypeFor[Profile]())
	out["$schema"] = "http://json-schema.org/draft-07/schema#"
	out["title"] = "cattle.yaml"
	out["patternProperties"] = Schema{"^x-": Schema{}} // a place for anchors
	properties := out["properties"].(Schema)
	properties["domain"] = properties["domains"]
	return json.MarshalIndent(out, "", "  ")
}

type schemer struct {
	about  func(string) Key
	limits map[string]Schema
}

// schemaLimits are what the checks ask of a value beyond its type.
func schemaLimits() map[string]Schema {
	like := func(p *regexp.Regexp) Schema { return Schema{"pattern": p.String()} }
	one := func(words ...any) Schema { return Schema{"enum": words} }
	least := func(n int) Schema { return Schema{"minimum": n} }
	port := Schema{"minimum": 1, "maximum": 65535}
	return map[string]Schema{
		"app":                       like(appPattern),
		"port":                      port,
		"dns":                       one("digitalocean"),
		"droplet.region":            like(slugPattern),
		"droplet.size":              like(slugPattern),
		"droplet.image":             one("debian-13-x64", "ubuntu-24-04-x64"),
		"droplet.vpc":               like(uuidPattern),
		"droplet.tags":              like(tagPattern),
		"routes[].path":             like(pathPattern),
		"routes[].body_size":        like(sizePattern),
		"secrets.deliver":           one(string(DeliverSSH), string(DeliverUserData)),
		"mail.port":                 port,
		"health.status":             {"minimum": 100, "maximum": 599},
		"health.successes":          least(1),
		"release.keep":              least(0),
		"release.cutover.failed":    least(0),
		"packages":                  like(debPattern),
		"files[].mode":              like(modePattern),
		"files[].owner":             like(ownerPattern),
		"build.via":                 one(string(ViaRegistry), string(ViaSSH)),
		"notify[].on":               one(OnSuccess, OnFailure),
		"state[].name":              like(entryName),
		"state[].mysql.password":    like(secretRef),
		"state[].postgres.password": like(secretRef),
		"state[].volume.name":       like(blockPattern),
		"state[].volume.mount":      like(mountPattern),
		"state[].volume.size":       {"minimum": 1, "maximum": maxBlockSize},
		"backup.password":           like(secretRef),
		"backup.ssh_key":            like(secretRef),
		"backup.keep.last":          least(0),
		"backup.keep.daily":         least(0),
		"backup.keep.weekly":        least(0),
		"backup.keep.monthly":       least(0),
	}
}

func (s schemer) structure(path string, t reflect.Type) Schema {
	properties, required := Schema{}, []string{}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		sub := strings.TrimPrefix(path+"."+name, ".")
		properties[name] = s.value(sub, t.Field(i).Type)
		// What is not in an item of a list may be in the file that is extended.
		if strings.Contains(path, "[]") && s.about(sub).Default == "required" {
			required = append(required, name)
		}
	}
	out := Schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// value is the schema of a key. A key without a value is as if it were not there.
func (s schemer) value(path string, t reflect.Type) Schema {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var out Schema
	switch {
	case t == reflect.TypeFor[Place]():
		out = orNull(text())
	case t == reflect.TypeFor[Migrate]():
		command := s.value(path+".command", reflect.TypeFor[Command]())
		out = Schema{"anyOf": []Schema{s.structure(path, t), command}}
	case t.Kind() == reflect.Struct:
		out = s.structure(path, t)
		out["type"] = []string{"object", "null"}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		out = Schema{"type": []string{"array", "null"}, "items": s.structure(path+"[]", t.Elem())}
	case t.Kind() == reflect.Slice:
		item := s.limited(path, text())
		out = Schema{"anyOf": []Schema{{"type": "array", "items": item}, item, {"type": "null"}}}
	case t.Kind() == reflect.Map:
		out = Schema{"type": []string{"object", "null"}, "additionalProperties": orNull(text())}
	case t == reflect.TypeFor[time.Duration]():
		out = durations()
	case t.Kind() == reflect.Int:
		out = orNull(s.limited(path, Schema{"type": []string{"integer"}}))
	case t.Kind() == reflect.Bool:
		out = orNull(Schema{"type": []string{"boolean"}})
	default:
		out = orNull(s.limited(path, text()))
	}
	return s.described(path, t, out)
}

// text takes any scalar: 0644 and 1.10 mean themselves.
func text() Schema { return Schema{"type": []string{"string", "number", "boolean"}} }

// durations are what parseDuration takes, and a bare 0. Editors show the
// messages in place of their own.
func durations() Schema {
	const say = "a duration, such as 30s, 10m or 7d"
	return Schema{"errorMessage": say, "anyOf": []Schema{{"type": []string{"string", "null"}, "errorMessage": say, "minLength": 1, "patternErrorMessage": say,
		"pattern": `^(\d{1,6}d)?([+-]?((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|[+-]?0)?$`}, {"const": 0, "errorMessage": say}}}
}

func (s schemer) limited(path string, out Schema) Schema {
	for k, v := range s.limits[path] {
		out[k] = v
	}
	return out
}

func orNull(out Schema) Schema {
	out["type"] = append(out["type"].([]string), "null")
	if words, ok := out["enum"].([]any); ok {
		out["enum"] = append(words, nil)
	}
	return out
}

// described adds what the documentation says.
func (s schemer) described(path string, t reflect.Type, out Schema) Schema {
	key := s.about(path)
	value, is := strings.CutPrefix(key.Default, "`")
	value, rest, _ := strings.Cut(value, "`")
	if is {
		out["default"] = typed(value, t)
	}
	about := key.About
	switch {
	case key.Default == "required":
		about = "Required. " + about
	case !is && key.Default != "":
		about += " (default: " + key.Default + ")"
	case rest != "":
		about += " (default: " + value + rest + ")"
	}
	if about = strings.TrimSpace(about); about != "" {
		out["description"] = about
	}
	return out
}

// typed is a default as a value of its key's type.
func typed(value string, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Int:
		if n, err := strconv.Atoi(value); err == nil {
			return n
		}
	case reflect.Bool:
		return value == "true"
	}
	return value
}
