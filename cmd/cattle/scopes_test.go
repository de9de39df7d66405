package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// TestScopesOfTheREADME makes a token of the scopes that the README lists, and
// every call that cattle makes with it: none is forbidden. Each of them is
// needed: without any one of them some call is.
func TestScopesOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "## The token's scopes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var scopes []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+:[a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			scopes = append(scopes, name[1])
		}
	}
	if len(scopes) < 10 {
		t.Fatalf("the README lists %v", scopes)
	}
	if refused := forbidden(t, scopes); len(refused) > 0 {
		t.Errorf("with the scopes of the README these calls are forbidden: %v", refused)
	}
	for i, scope := range scopes {
		without := append(append([]string{}, scopes[:i]...), scopes[i+1:]...)
		if refused := forbidden(t, without); len(refused) == 0 && !asked(scope) {
			t.Errorf("%s is needed for nothing", scope)
		}
	}
}

// asked are scopes that the API's form or prose asks for beside what its
// description says of a call.
func asked(scope string) bool {
	return scope == "vpc:read" || scope == "image:create" || scope == "image:update"
}

// forbidden are the calls of a Cloud that the API refuses to a token of these scopes.
func forbidden(t *testing.T, scopes []string) (refused []string) {
	t.Helper()
	cloud, err := sandbox.New(sandbox.Options{Token: "all", Tokens: map[string][]string{"limited": scopes}, Unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	api, err := droplets.Open(droplets.Config{Token: "limited", HTTP: cloud.Client(), URL: "http://api.test"})
	if err != nil {
		t.Fatal(err)
	}
	calls := reflect.ValueOf(api)
	for i := range calls.NumMethod() {
		method := calls.Type().Method(i).Name
		f := calls.Method(i)
		if f.Type().NumIn() == 0 {
			continue // Now, which is no call
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for n := 1; n < f.Type().NumIn(); n++ {
			args = append(args, example(method, f.Type().In(n)))
		}
		call := f.Call
		if f.Type().IsVariadic() {
			call = f.CallSlice
		}
		out := call(args)
		if err, _ := out[len(out)-1].Interface().(error); droplets.StatusOf(err) == 403 {
			refused = append(refused, method)
		}
	}
	return refused
}

const anID = "4de7ac8b-495b-4884-9a69-1050c6793cd6"

// example is an argument that makes a call; whether it succeeds is all the same.
func example(method string, t reflect.Type) reflect.Value {
	switch t.Kind() {
	case reflect.String:
		if method == "Firewall" || method == "DeleteFirewall" || method == "PutInto" || method == "VPC" || strings.Contains(method, "Volume") && method != "Volumes" {
			return reflect.ValueOf(anID)
		}
		if method == "Assign" || strings.Contains(method, "IP") {
			return reflect.ValueOf("198.51.100.7")
		}
		return reflect.ValueOf("example")
	case reflect.Int:
		return reflect.ValueOf(7)
	case reflect.Slice:
		return reflect.ValueOf([]int{7})
	}
	switch t {
	case reflect.TypeFor[droplets.Record]():
		return reflect.ValueOf(droplets.Record{ID: 7, Type: "A", Name: "example", Data: "198.51.100.7"})
	case reflect.TypeFor[droplets.VolumeSpec]():
		return reflect.ValueOf(droplets.VolumeSpec{Name: "example", Region: "nyc3", SizeGiB: 1})
	case reflect.TypeFor[droplets.Firewall]():
		anyone := droplets.NewRule("tcp", "22", "0.0.0.0/0")
		return reflect.ValueOf(droplets.Firewall{ID: anID, Name: "example", Tags: []string{"example"}, Inbound: []droplets.Rule{anyone}})
	}
	return reflect.ValueOf(droplets.Spec{Name: "example", Region: "nyc3", Size: "s-1vcpu-1gb", Image: "debian-13-x64"})
}
