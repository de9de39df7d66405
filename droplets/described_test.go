package droplets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"cattle/droplets/sandbox/described"
)

// TestMain holds every answer of the sandboxes here against the API's description.
func TestMain(m *testing.M) { os.Exit(described.Main(m)) }

// A reading is what a method of Cloud makes of an answer: the JSON as the
// client library knows it, with every field that the library has.
type reading struct {
	answer any               // a struct of the library's types, for JSON
	values map[string]string // fields that have to hold a certain word
}

// readings has a row for every method of Cloud. Methods that read nothing of
// their answer have an empty one.
func readings() map[string]reading {
	type paged struct {
		Links *godo.Links `json:"links"`
		Meta  *godo.Meta  `json:"meta"`
	}
	droplet := map[string]string{"type": "public", "status": "active"}
	image := map[string]string{"type": "snapshot"}
	return map[string]reading{
		"Account": {answer: struct {
			Account godo.Account `json:"account"`
		}{}},
		"CountDroplets": {answer: struct {
			paged
			Droplets []godo.Droplet `json:"droplets"`
		}{}},
		"Droplets": {answer: struct {
			paged
			Droplets []godo.Droplet `json:"droplets"`
		}{}, values: droplet},
		"Droplet": {answer: struct {
			Droplet godo.Droplet `json:"droplet"`
		}{}, values: droplet},
		"Create": {answer: struct {
			Droplet godo.Droplet `json:"droplet"`
		}{}, values: droplet},
		"Destroy": {}, "Shutdown": {}, "PowerOff": {}, "TakeSnapshot": {}, "Assign": {}, "ReleaseIP": {},
		"TagDroplets": {}, "DeleteTag": {}, "TagSnapshot": {}, "DeleteSnapshot": {},
		"MakeRecord": {}, "ChangeRecord": {}, "DeleteRecord": {}, "MakeFirewall": {}, "ChangeFirewall": {}, "DeleteFirewall": {},
		"AttachVolume": {}, "DetachVolume": {},
		"Volumes": {answer: struct {
			paged
			Volumes []godo.Volume `json:"volumes"`
		}{}, values: map[string]string{"id": anID}},
		"Volume": {answer: struct {
			Volume godo.Volume `json:"volume"`
		}{}, values: map[string]string{"id": anID}},
		"CreateVolume": {answer: struct {
			Volume godo.Volume `json:"volume"`
		}{}, values: map[string]string{"id": anID}},
		"VolumeActions": {answer: struct {
			paged
			Actions []godo.Action `json:"actions"`
		}{}},
		"Zones": {answer: struct {
			paged
			Domains []godo.Domain `json:"domains"`
		}{}, values: map[string]string{"zone_file": "word. 300 IN A 198.51.100.7\n"}},
		"Records": {answer: struct {
			paged
			Records []godo.DomainRecord `json:"domain_records"`
		}{}, values: map[string]string{"type": "A"}},
		"Record": {answer: struct {
			Record godo.DomainRecord `json:"domain_record"`
		}{}, values: map[string]string{"type": "A"}},
		"Firewall": {answer: struct {
			Firewall godo.Firewall `json:"firewall"`
		}{}, values: map[string]string{"id": anID}},
		"Firewalls": {answer: struct {
			paged
			Firewalls []godo.Firewall `json:"firewalls"`
		}{}, values: map[string]string{"id": anID}},
		"Projects": {answer: struct {
			paged
			Projects []godo.Project `json:"projects"`
		}{}, values: map[string]string{"id": anID}},
		"PutInto": {answer: struct {
			Resources []godo.ProjectResource `json:"resources"`
		}{}, values: map[string]string{"urn": "do:droplet:7", "status": "not_found"}},
		"VPC": {answer: struct {
			VPC godo.VPC `json:"vpc"`
		}{}, values: map[string]string{"id": anID}},
		"Actions": {answer: struct {
			paged
			Actions []godo.Action `json:"actions"`
		}{}},
		"ReservedIPs": {answer: struct {
			paged
			IPs []godo.ReservedIP `json:"reserved_ips"`
		}{}, values: droplet},
		"ReservedIP": {answer: struct {
			IP godo.ReservedIP `json:"reserved_ip"`
		}{}, values: droplet},
		"ReserveIP": {answer: struct {
			IP godo.ReservedIP `json:"reserved_ip"`
		}{}, values: droplet},
		"Snapshots": {answer: struct {
			paged
			Images []godo.Image `json:"images"`
		}{}, values: image},
		"Snapshot": {answer: struct {
			Image godo.Image `json:"image"`
		}{}, values: image},
		"SSHKeys": {answer: struct {
			paged
			Keys []godo.Key `json:"ssh_keys"`
		}{}},
		"Sizes": {answer: struct {
			paged
			Sizes []godo.Size `json:"sizes"`
		}{}},
		"Image": {answer: struct {
			Image godo.Image `json:"image"`
		}{}},
	}
}

// undescribed are fields that are read and that the description lacks, each
// with what it is good for.
func undescribed() map[string]string {
	return map[string]string{
		"Account account.reserved_ip_limit": "the newer name of floating_ip_limit; read where it is sent, never needed",
	}
}

// TestFieldsReadAreDescribed takes the fields of an answer away, one by one,
// and sees which of them a method misses. Those the description has to have.
func TestFieldsReadAreDescribed(t *testing.T) {
	d, err := described.Load()
	if err != nil {
		t.Fatal(err)
	}
	rows, fields := readings(), 0
	excuses := undescribed()
	for m := range reflect.TypeFor[Cloud]().Methods() {
		if m.Type.NumIn() == 0 {
			continue // Now, which is no call
		}
		row, known := rows[m.Name]
		if !known {
			t.Errorf("Cloud.%s has no row: say what it reads", m.Name)
			continue
		}
		delete(rows, m.Name)
		s := &server{answer: filled(row.answer, row.values)}
		read := s.fieldsRead(t, m.Name)
		t.Logf("%-14s %s\n\t%s", m.Name, strings.Join(slices.Sorted(maps.Keys(s.routes)), ", "), strings.Join(read, " "))
		fields += len(read)
		if row.answer != nil && len(read) == 0 {
			t.Errorf("Cloud.%s reads nothing of its answer", m.Name)
		}
		for _, f := range read {
			excused := excuses[m.Name+" "+f] != ""
			delete(excuses, m.Name+" "+f)
			if d != nil && !s.described(d, f) && !excused {
				t.Errorf("Cloud.%s reads %s, which the description of %v lacks", m.Name, f, s.routes)
			}
		}
		for route := range s.routes {
			method, path, _ := strings.Cut(route, " ")
			if d != nil && !d.HasRoute(method, path) {
				t.Errorf("Cloud.%s calls %s, which the description lacks", m.Name, route)
			}
		}
	}
	for name := range rows {
		t.Errorf("Cloud has no method %s", name)
	}
	for f := range excuses {
		t.Errorf("%s is not read: take its excuse back", f)
	}
	if d == nil {
		t.Skip(described.Variable + " is not set: nothing was held against the API's description")
	}
	t.Logf("%d fields that are read, of %d methods", fields, reflect.TypeFor[Cloud]().NumMethod())
}

// server answers every call with the same JSON.
type server struct {
	answer any
	routes map[string]int // called, and answered with
	calls  int
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.calls++
	status := map[string]int{http.MethodGet: 200, http.MethodPut: 200, http.MethodDelete: 204}[r.Method]
	switch {
	case strings.HasPrefix(r.URL.Path, "/v2/projects/") && r.Method == http.MethodPost:
		status = 200
	case r.URL.Path == "/v2/volumes" && r.Method == http.MethodPost,
		strings.HasSuffix(r.URL.Path, "/actions") && r.Method == http.MethodPost:
		status = 201
	case strings.HasSuffix(r.URL.Path, "/resources"):
		status = 204
	case r.Method == http.MethodPost:
		status = 202
	}
	if s.routes == nil {
		s.routes = map[string]int{}
	}
	s.routes[r.Method+" "+r.URL.Path] = status
	answer := s.answer
	if page := r.URL.Query().Get("page"); page != "" && page != "1" || answer == nil {
		answer = map[string]any{}
	}
	body, err := json.Marshal(answer)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: r}, err
}

// anAddress is asked for, and answered with: what answers with another address
// than the one that was asked for is not believed.
const anAddress = "198.51.100.7"

// anID likewise.
const anID = "4de7ac8b-495b-4884-9a69-1050c6793cd6"

// outcome is all that a method of Cloud returns, and how often it asked.
func (s *server) outcome(t *testing.T, method string) string {
	t.Helper()
	cloud, err := Open(Config{Token: "t", URL: "http://api.test", HTTP: &http.Client{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	f := reflect.ValueOf(cloud).MethodByName(method)
	in := []reflect.Value{reflect.ValueOf(t.Context())}
	for i := 1; i < f.Type().NumIn(); i++ {
		switch p := f.Type().In(i); {
		case f.Type().IsVariadic() && i == f.Type().NumIn()-1:
			in = append(in, reflect.ValueOf(7))
		case p.Kind() == reflect.String && (method == "Assign" || strings.Contains(method, "IP")):
			in = append(in, reflect.ValueOf(anAddress))
		case p.Kind() == reflect.String && (method == "Firewall" || method == "DeleteFirewall" || method == "PutInto" || method == "VPC"),
			p.Kind() == reflect.String && strings.Contains(method, "Volume") && method != "Volumes":
			in = append(in, reflect.ValueOf(anID))
		case p.Kind() == reflect.String:
			in = append(in, reflect.ValueOf("word"))
		case p.Kind() == reflect.Int:
			in = append(in, reflect.ValueOf(7))
		case p == reflect.TypeFor[Spec]():
			in = append(in, reflect.ValueOf(Spec{Name: "word", Tags: []string{"word"}}))
		case p == reflect.TypeFor[VolumeSpec]():
			in = append(in, reflect.ValueOf(VolumeSpec{Name: "word", Region: "word", SizeGiB: 7}))
		case p == reflect.TypeFor[Record]():
			in = append(in, reflect.ValueOf(Record{ID: 7, Type: "A", Name: "word", Data: anAddress}))
		case p == reflect.TypeFor[Firewall]():
			in = append(in, reflect.ValueOf(Firewall{ID: anID, Name: "word"}))
		default:
			in = append(in, reflect.Zero(p))
		}
	}
	var said strings.Builder
	s.calls = 0
	for _, v := range f.Call(in) {
		fmt.Fprintf(&said, "%+v\n", v.Interface())
	}
	fmt.Fprint(&said, s.calls, " calls")
	return said.String()
}

// fieldsRead are the fields without which, or with another value of which, the
// method returns something else.
func (s *server) fieldsRead(t *testing.T, method string) (read []string) {
	whole := s.outcome(t, method)
	full := s.answer
	for _, path := range leaves(full, nil) {
		for _, change := range []func(any) (any, bool){gone, other} {
			s.answer = changed(full, path, change)
			if s.outcome(t, method) != whole {
				read = append(read, strings.Join(path, "."))
				break
			}
		}
	}
	s.answer = full
	slices.Sort(read)
	return read
}

func (s *server) described(d *described.Description, field string) bool {
	for route, status := range s.routes {
		method, path, _ := strings.Cut(route, " ")
		if d.HasAnswer(method, path, status, strings.Split(field, ".")) {
			return true
		}
	}
	return false
}

// leaves are the ways to all values of JSON that hold no others; * is a list's item.
func leaves(v any, at []string) (paths [][]string) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			paths = append(paths, leaves(inner, append(slices.Clip(at), name))...)
		}
	case []any:
		for _, inner := range v {
			paths = append(paths, leaves(inner, append(slices.Clip(at), "*"))...)
		}
	default:
		paths = [][]string{at}
	}
	return paths
}

// changed copies JSON but for what is at a path: change says what is there
// instead, if anything.
func changed(v any, path []string, change func(any) (any, bool)) any {
	if len(path) == 0 {
		v, _ = change(v)
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		if _, stays := change(v[path[0]]); len(path) == 1 && !stays {
			delete(out, path[0])
		} else {
			out[path[0]] = changed(v[path[0]], path[1:], change)
		}
		return out
	case []any:
		if _, stays := change(v[0]); len(path) == 1 && !stays {
			return []any{}
		}
		return []any{changed(v[0], path[1:], change)}
	}
	return v
}

func gone(any) (any, bool) { return nil, false }

func other(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return v + "x", true
	case int:
		return v + 1, true
	case bool:
		return !v, true
	}
	return v, true
}

// filled is JSON of a struct with a value in every field: words "word", numbers
// 7, one item in each list. values are words for fields of that name.
func filled(answer any, values map[string]string) any {
	if answer == nil {
		return nil
	}
	return fill(reflect.TypeOf(answer), "", values, 0)
}

func fill(t reflect.Type, name string, values map[string]string, depth int) any {
	switch {
	case t == reflect.TypeFor[godo.Timestamp](), t == reflect.TypeFor[time.Time](), strings.HasSuffix(name, "created_at"):
		return "2026-01-02T03:04:05Z"
	case depth > 8:
		return nil
	case t.Kind() == reflect.Pointer:
		return fill(t.Elem(), name, values, depth)
	case t.Kind() == reflect.Slice:
		return []any{fill(t.Elem(), name, values, depth+1)}
	case t.Kind() == reflect.String && name == "next":
		return "http://api.test/v2/more?page=2"
	case t.Kind() == reflect.String && (name == "ip" || name == "ip_address"):
		return anAddress
	case t.Kind() == reflect.String && values[name] != "":
		return values[name]
	case t.Kind() == reflect.String:
		return "word"
	case t.Kind() == reflect.Bool:
		// A public image is no snapshot of ours.
		return name != "public"
	case t.Kind() != reflect.Struct:
		return 7
	}
	out := map[string]any{}
	for f := range t.Fields() {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && tag == "":
			maps.Copy(out, fill(f.Type, "", values, depth).(map[string]any))
		case tag != "" && tag != "-":
			out[tag] = fill(f.Type, tag, values, depth+1)
		}
	}
	return out
}
