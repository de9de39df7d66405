package described

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// An amendment mends a place where the description contradicts itself. Each is
// as narrow as can be, and stops the tests when the description no longer has
// the fault.
type amendment struct {
	where  string
	reason string
	mend   func(*openapi3.T) bool // whether there was something to mend
}

func amendments() []amendment {
	return []amendment{
		{"droplet.next_backup_window", "its own examples have null, which the second half of its allOf forbids", func(doc *openapi3.T) bool {
			window := schema(doc, "droplet").Properties["next_backup_window"].Value
			last := window.AllOf[len(window.AllOf)-1].Value
			was := last.Nullable
			last.Nullable = true
			return !was
		}},
		{"tags.resources.images", "spelled imgages in the properties, images in the examples", func(doc *openapi3.T) bool {
			for _, part := range schema(doc, "tags").Properties["resources"].Value.AllOf {
				if misspelled := part.Value.Properties["imgages"]; misspelled != nil {
					delete(part.Value.Properties, "imgages")
					part.Value.Properties["images"] = misspelled
					return true
				}
			}
			return false
		}},
		{"volume_action_post_base.volume_name", "is what POST /v2/volumes/actions asks for in its own words and calls", func(doc *openapi3.T) bool {
			found := false
			for _, kind := range []string{"attach", "detach"} {
				base := schema(doc, "volume_action_post_"+kind).AllOf[0].Value
				found = found || base.Properties["volume_name"] == nil
				base.Properties["volume_name"] = openapi3.NewStringSchema().NewRef()
			}
			return found
		}},
		{"domain_record_{ns,srv,txt}.required", "has flags and tag, which its own properties say are for CAA records", func(doc *openapi3.T) bool {
			found := false
			for _, kind := range []string{"ns", "srv", "txt"} {
				for _, part := range schema(doc, "domain_record_"+kind).AllOf {
					n := len(part.Value.Required)
					part.Value.Required = slices.DeleteFunc(part.Value.Required, func(s string) bool { return s == "flags" || s == "tag" })
					found = found || len(part.Value.Required) < n
				}
			}
			return found
		}},
	}
}

func schema(doc *openapi3.T, name string) *openapi3.Schema { return doc.Components.Schemas[name].Value }
