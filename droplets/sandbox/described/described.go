// Package described holds calls and answers of the sandbox against the API's
// published description. It is for tests: nothing of it is in the binary.
//
// The description is DigitalOcean's bundled OpenAPI document, found through
// the environment: CATTLE_OPENAPI is its path. Without that variable nothing
// is checked, and Main says so.
package described

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Variable names the environment variable with the description's path.
const Variable = "CATTLE_OPENAPI"

// A Description is the API as published. Its methods may be called at the same
// time from several goroutines.
type Description struct {
	doc   *openapi3.T
	paths []template
}

// Load reads the description that the environment names, once a process: it
// takes 0.7 s. Without the variable it returns nil.
var Load = sync.OnceValues(func() (*Description, error) {
	path := os.Getenv(Variable)
	if path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	return parse(raw, amendments())
})

func parse(raw []byte, mend []amendment) (*Description, error) {
	openapi3.DefineIPv4Format()
	openapi3.DefineIPv6Format()
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC4122))
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	for _, a := range mend {
		if !a.mend(doc) {
			return nil, fmt.Errorf("%s: nothing to mend at %s: take the amendment back", Variable, a.where)
		}
	}
	d := &Description{doc: doc}
	for path := range doc.Paths.Map() {
		d.paths = append(d.paths, newTemplate(path))
	}
	return d, nil
}

// A call is one call and its answer, as the sandbox shows them.
type call struct {
	*http.Request
	body   []byte
	status int
	header http.Header
	answer []byte
}

// route is the description's name of what is called, such as
// "GET /v2/droplets/{droplet_id}", and its operation, nil where there is none.
func (d *Description) route(method, path string) (string, *routers.Route, map[string]string) {
	name, values := match(d.paths, strings.TrimSuffix(path, "/"))
	item := d.doc.Paths.Value(name)
	if item == nil || item.GetOperation(method) == nil {
		return method + " " + path, nil, nil
	}
	return method + " " + name, &routers.Route{Spec: d.doc, Path: name, PathItem: item, Method: method, Operation: item.GetOperation(method)}, values
}

// check says how a call departs from the description. What the API would not
// know may be refused in any way; what was accepted has to be described.
func (d *Description) check(c *call, r *routers.Route, values map[string]string, requests bool) (faults []string) {
	if r == nil {
		if c.status != http.StatusNotFound {
			faults = append(faults, "the API has no such route")
		}
		return faults
	}
	in := d.input(c, r, values)
	if requests && c.status < 300 {
		faults = append(faults, lines("request", openapi3filter.ValidateRequest(context.Background(), in))...)
		faults = append(faults, unknownParameters(c.Request, r)...)
		if body := r.Operation.RequestBody; body != nil && len(c.body) > 0 {
			faults = append(faults, unknownFields("request", body.Value.Content, c.body)...)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: c.status, Header: c.header, Options: in.Options}
	faults = append(faults, lines("answer", openapi3filter.ValidateResponse(context.Background(), out.SetBodyBytes(c.answer)))...)
	return append(faults, d.undescribed(c, r)...)
}

// undescribed are the things that the library lets pass: an answer to a status
// that has none, and fields of other names.
func (d *Description) undescribed(c *call, r *routers.Route) []string {
	described := r.Operation.Responses.Status(c.status)
	if described == nil {
		described = r.Operation.Responses.Default()
	}
	switch {
	case described == nil || described.Value == nil:
		return nil // the library has said so
	case len(described.Value.Content) == 0 && len(c.answer) > 0:
		return []string{"answer: a body where none is described"}
	case len(described.Value.Content) > 0 && len(c.answer) == 0:
		return []string{"answer: no body where one is described"}
	}
	return unknownFields("answer", described.Value.Content, c.answer)
}

func (d *Description) input(c *call, r *routers.Route, values map[string]string) *openapi3filter.RequestValidationInput {
	req := c.Clone(context.Background())
	req.Body = http.NoBody
	if len(c.body) > 0 {
		req.Body = readCloser{bytes.NewReader(c.body)}
	}
	if req.Header.Get("Content-Type") == "" {
		// The API takes JSON from who does not say what it sends.
		req.Header.Set("Content-Type", "application/json")
	}
	return &openapi3filter.RequestValidationInput{
		Request: req, PathParams: values, Route: r, QueryParams: c.URL.Query(),
		Options: &openapi3filter.Options{
			MultiError: true, IncludeResponseStatus: true, SkipSettingDefaults: true,
			AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc,
			SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.EnableFormatValidation(), openapi3.DisableSchemaErrorDetails()},
		},
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// unknownParameters are those of the query that the route does not have.
func unknownParameters(req *http.Request, r *routers.Route) (faults []string) {
	for name := range req.URL.Query() {
		if r.Operation.Parameters.GetByInAndName("query", name) == nil && r.PathItem.Parameters.GetByInAndName("query", name) == nil {
			faults = append(faults, "request: the query's "+name+" is not described")
		}
	}
	return faults
}

// unknownFields looks for fields that a JSON body has and its description not.
func unknownFields(what string, content openapi3.Content, raw []byte) (faults []string) {
	kind := content.Get("application/json")
	var v any
	if kind == nil || kind.Schema == nil || json.Unmarshal(raw, &v) != nil {
		return nil // the library has said so
	}
	for _, path := range unknown(kind.Schema.Value, v, "") {
		faults = append(faults, what+": the field "+path+" is not described")
	}
	return faults
}

// lines makes a line of each of the library's errors.
func lines(what string, err error) []string {
	switch e := err.(type) {
	case nil:
		return nil
	case openapi3.MultiError:
		var all []string
		for _, one := range e {
			all = append(all, lines(what, one)...)
		}
		return all
	case *openapi3filter.ResponseError:
		if e.Err != nil {
			return lines(what, e.Err)
		}
	case *openapi3filter.RequestError:
		if e.Err != nil {
			return lines(what+" "+e.Reason, e.Err)
		}
	case *openapi3.SchemaError:
		if e.Origin != nil {
			return lines(what, e.Origin)
		}
		return []string{fmt.Sprintf("%s: /%s: %s", what, strings.Join(e.JSONPointer(), "/"), e.Reason)}
	}
	return []string{what + ": " + strings.Join(strings.Fields(err.Error()), " ")}
}

// HasAnswer says whether the description of a route's answers to a status has
// a field: path is its way, with * for the items of a list.
func (d *Description) HasAnswer(method, path string, status int, field []string) bool {
	_, r, _ := d.route(method, path)
	if r == nil {
		return false
	}
	answer := r.Operation.Responses.Status(status)
	if answer == nil {
		answer = r.Operation.Responses.Default()
	}
	if answer == nil || answer.Value.Content.Get("application/json") == nil {
		return false
	}
	return has(answer.Value.Content.Get("application/json").Schema.Value, field)
}

// has says whether any part of a schema has a field.
func has(s *openapi3.Schema, field []string) bool {
	if len(field) == 0 {
		return true
	}
	if f := s.Properties[field[0]]; f != nil && has(f.Value, field[1:]) {
		return true
	}
	if field[0] == "*" && s.Items != nil && has(s.Items.Value, field[1:]) {
		return true
	}
	return slices.ContainsFunc(slices.Concat(s.AllOf, s.OneOf, s.AnyOf), func(part *openapi3.SchemaRef) bool { return has(part.Value, field) })
}

// HasRoute says whether the API has a route, path being a concrete one.
func (d *Description) HasRoute(method, path string) bool {
	_, r, _ := d.route(method, path)
	return r != nil
}
