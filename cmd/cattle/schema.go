package main

import (
	"cattle/docs"
	"cattle/profiles"
)

// schema prints the JSON Schema of cattle.yaml, for editors.
func schema(std stdio) error {
	keys := docs.Keys()
	raw, err := profiles.SchemaOf(func(path string) profiles.Key { return profiles.Key(keys[path]) })
	if err != nil {
		return err
	}
	return say(std.out, string(raw)+"\n")
}
