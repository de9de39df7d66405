package described

import (
	"bytes"
	"flag"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// little is a description with one of each thing that is checked.
const little = `
openapi: 3.0.0
info: {title: x, version: "1"}
paths:
  /v2/things:
    parameters: [{name: page, in: query, schema: {type: integer, minimum: 1}}]
    get:
      responses:
        "200": {description: a list, content: {application/json: {schema: {type: object, required: [things], properties: {things: {type: array, items: {$ref: '#/components/schemas/thing'}}}}}}}
    post:
      requestBody: {content: {application/json: {schema: {type: object, required: [name], properties: {name: {type: string}}}}}}
      responses:
        "202": {description: one, content: {application/json: {schema: {$ref: '#/components/schemas/thing'}}}}
        default: {description: refused, content: {application/json: {schema: {type: object, required: [id, message], properties: {id: {type: string}, message: {type: string}}}}}}
  /v2/things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    delete: {responses: {"204": {description: gone}}}
  /v2/things/best:
    delete: {responses: {"202": {description: soon}}}
components:
  schemas:
    thing:
      allOf:
      - {type: object, required: [id], properties: {id: {type: integer}, at: {type: string, format: date-time}, key: {type: string, format: uuid}, ip: {type: string, format: ipv4}}}
      - {type: object, properties: {state: {type: string, enum: [new, old]}, note: {type: string, nullable: true}, any: {type: object}}}
`

func observe(t *testing.T, method, path, body string, status int, answer string) []string {
	t.Helper()
	d, err := parse([]byte(little), nil)
	if err != nil {
		t.Fatal(err)
	}
	tally := d.NewTally()
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	tally.Observe(httptest.NewRequest(method, path, strings.NewReader(body)), []byte(body), status, h, []byte(answer))
	return tally.Faults()
}

func TestCatches(t *testing.T) {
	things := func(thing string) string { return `{"things":[` + thing + `]}` }
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		answer, want             string // want "" is no fault
	}{
		{"right", "GET", "/v2/things?page=2", "", 200, things(`{"id":1,"at":"2026-01-02T03:04:05Z","key":"b6fc89db-f6d9-156c-ace5-f3c78dc9851d","ip":"198.18.0.1","state":"new","note":null,"any":{"x":1}}`), ""},
		{"required field is missing", "GET", "/v2/things", "", 200, things(`{"state":"new"}`), `"id" is missing`},
		{"list is missing", "GET", "/v2/things", "", 200, `{}`, `"things" is missing`},
		{"field that is not described", "GET", "/v2/things", "", 200, things(`{"id":1,"extra":1}`), "/things/0/extra is not described"},
		{"field beside the list", "GET", "/v2/things", "", 200, `{"things":[],"total":1}`, "/total is not described"},
		{"wrong type", "GET", "/v2/things", "", 200, things(`{"id":"1"}`), "must be an integer"},
		{"null", "GET", "/v2/things", "", 200, things(`{"id":null}`), "not nullable"},
		{"no date", "GET", "/v2/things", "", 200, things(`{"id":1,"at":"today"}`), "date-time"},
		{"no uuid", "GET", "/v2/things", "", 200, things(`{"id":1,"key":"b6fc"}`), "uuid"},
		{"no address", "GET", "/v2/things", "", 200, things(`{"id":1,"ip":"198.18.0.999"}`), "ipv4"},
		{"word of its own", "GET", "/v2/things", "", 200, things(`{"id":1,"state":"gone"}`), "allowed values"},
		{"status that is not described", "GET", "/v2/things", "", 201, things(``), "status is not supported"},
		{"no JSON", "GET", "/v2/things", "", 200, `<html>`, "answer:"},
		{"no body", "GET", "/v2/things", "", 200, ``, "no body"},
		{"a body where none is", "DELETE", "/v2/things/1", "", 204, `{}`, "a body where none"},
		{"literal before parameter", "DELETE", "/v2/things/best", "", 202, ``, ""},
		{"error without message", "POST", "/v2/things", `{"name":"x"}`, 422, `{"id":"x"}`, `"message" is missing`},
		{"error", "POST", "/v2/things", `nonsense`, 422, `{"id":"x","message":"y"}`, ""},
		{"accepted query that is not described", "GET", "/v2/things?sort=1", "", 200, things(``), "query's sort"},
		{"accepted query of a wrong type", "GET", "/v2/things?page=x", "", 200, things(``), "request"},
		{"accepted field that is not described", "POST", "/v2/things", `{"name":"x","nam":"y"}`, 202, `{"id":1}`, "/nam is not described"},
		{"accepted without what is required", "POST", "/v2/things", `{}`, 202, `{"id":1}`, `"name" is missing`},
		{"no such route", "GET", "/v2/nothing", "", 200, `{}`, "no such route"},
		{"no such route, not found", "GET", "/v2/nothing", "", 404, `{}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(observe(t, c.method, c.path, c.body, c.status, c.answer), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("faults %q, want %q", got, c.want)
			}
		})
	}
}

// TestShapes: what differs in ids alone is checked once, what differs in words twice.
func TestShapes(t *testing.T) {
	d, err := parse([]byte(little), nil)
	if err != nil {
		t.Fatal(err)
	}
	tally := d.NewTally()
	for _, answer := range []string{`{"things":[{"id":1}]}`, `{"things":[{"id":23}]}`, `{"things":[{"id":23,"state":"new"}]}`, `{"things":[{"id":23,"state":"odd"}]}`, `{"things":[{"id":4,"state":"odd"}]}`} {
		tally.Observe(httptest.NewRequest("GET", "/v2/things", nil), nil, 200, http.Header{"Content-Type": {"application/json"}}, []byte(answer))
	}
	if got, want := tally.Counts()[Line{"GET /v2/things", 200}], (Count{5, 3, 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	file := filepath.Join(t.TempDir(), "tally")
	for range 2 { // as two processes would
		if err := tally.append(file); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := ReadTally(file)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	sum.Print(&table)
	if !strings.Contains(table.String(), "GET /v2/things  200     10       6       4\n") {
		t.Error(table.String())
	}
}

// countedFlag is no variable, which the processes that count would see as well.
var countedFlag = flag.String("counted", "", "the file of TallyVariable, for TestTally to print")

// TestTally prints what all processes of a test run have counted; see make test.
func TestTally(t *testing.T) {
	if *countedFlag == "" {
		t.Skip("no -counted")
	}
	sum, err := ReadTally(*countedFlag)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	sum.Print(&table)
	t.Logf("every answer of a sandbox in these tests:\n%s", table.String())
	for l, n := range sum.Counts() {
		if n.Deviations > 0 {
			t.Errorf("%s → %d: %d deviations", l.Route, l.Status, n.Deviations)
		}
	}
}

// BenchmarkObserve is the price of an answer whose shape is known.
func BenchmarkObserve(b *testing.B) {
	d, err := parse([]byte(little), nil)
	if err != nil {
		b.Fatal(err)
	}
	tally := d.NewTally()
	answer := []byte(`{"things":[` + strings.Repeat(`{"id":23,"state":"new","at":"2026-01-02T03:04:05Z"},`, 60) + `{"id":1}]}`) // 3 KB, a droplet's size
	r, h := httptest.NewRequest("GET", "/v2/things", nil), http.Header{"Content-Type": {"application/json"}}
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		tally.Observe(r, nil, 200, h, answer)
	}
}
