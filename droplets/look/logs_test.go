package look

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParsers(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 45, 7, 0, time.UTC)
	for name, c := range map[string]struct {
		parse parser
		line  string
		at    time.Time
		text  string
		ok    bool
	}{
		"access":       {parseAccess, `192.0.2.7 - - [22/Nov/2026:08:45:07 +0000] "GET / HTTP/2.0" 200 11`, at, `192.0.2.7 - - "GET / HTTP/2.0" 200 11`, true},
		"access, zone": {parseAccess, `::1 - ann [22/Nov/2026:09:45:07 +0100] "-" 400 0`, at, `::1 - ann "-" 400 0`, true},
		"access, cut":  {parseAccess, `192.0.2.7 - - [22/Nov/20`, time.Time{}, "", false},
		"error":        {parseError, `2026/11/22 08:45:07 [error] 12#12: *3 connect() failed`, at, `[error] 12#12: *3 connect() failed`, true},
		"error, more":  {parseError, `  a line of its own`, time.Time{}, "", false},
		"error, empty": {parseError, ``, time.Time{}, "", false},
		"boot":         {parseBoot, `{"at":1795337107000,"step":"pull","state":"running"}`, at, "pull: running", true},
		"boot, end":    {parseBoot, `{"at":1795337107000,"step":"pull","state":"ok","exit":0,"ms":1500,"tail":""}`, at, "pull: ok after 1.5s", true},
		"boot, failed": {parseBoot, `{"at":1795337107000,"step":"pull","state":"failed","exit":3,"ms":9,"tail":"RTogbm8K"}`, at, "pull: failed after 9ms, exit status 3\nE: no", true},
		"boot, cut":    {parseBoot, `{"at":1795337107000,"ste`, time.Time{}, "", false},
	} {
		got, text, ok := c.parse(c.line)
		if ok != c.ok || ok && (!got.Equal(c.at) || text != c.text) {
			t.Errorf("%s: %v %q %v", name, got, text, ok)
		}
	}
}

// TestRecords reads what journalctl prints: text, bytes, lists, null.
func TestRecords(t *testing.T) {
	o := opening{app: "blog", services: map[string]string{"blog-web-1": "web"}, wanted: map[string]bool{"web": true, "mail": true, "cron": true, "system": true}}
	j := journal{name: o.name}
	var got []string
	err := j.read(strings.NewReader(`{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1795337107000001","CONTAINER_NAME":"blog-web-1","MESSAGE":"plain"}
{"__CURSOR":"c2","__REALTIME_TIMESTAMP":"1795337107000002","CONTAINER_NAME":"blog-web-1","MESSAGE":[27,91,50,74,255]}
{"__CURSOR":"c3","__REALTIME_TIMESTAMP":"1795337107000003","CONTAINER_NAME":"other-web-1","MESSAGE":"another project's"}
no json at all
{"__CURSOR":"c4","__REALTIME_TIMESTAMP":"1795337107000004","SYSLOG_FACILITY":"2","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"sent"}
{"__CURSOR":"c5","__REALTIME_TIMESTAMP":"1795337107000005","SYSLOG_FACILITY":"3","SYSLOG_IDENTIFIER":["a","b"],"MESSAGE":["one",[116,119,111]]}
{"__CURSOR":"c6","__REALTIME_TIMESTAMP":"1795337107000006","_SYSTEMD_UNIT":"cattle-cron-digest.service","SYSLOG_FACILITY":"3","SYSLOG_IDENTIFIER":"cron","MESSAGE":"done"}
{"__CURSOR":"c7","__REALTIME_TIMESTAMP":"1795337107000007","UNIT":"cattle-cron-digest.service","SYSLOG_FACILITY":"3","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"Finished"}
{"__CURSOR":"c8","__REALTIME_TIMESTAMP":"1795337107000008","CONTAINER_NAME":"blog-web-1","MESSAGE":null}
`), func(e Entry) { got = append(got, e.Time.UTC().Format("05.000000 ")+e.Name+": "+e.Line) })
	want := []string{"07.000001 web: plain", "07.000002 web: \x1b[2J\xff", "07.000004 mail: postfix/smtp: sent", "07.000005 system: a", "07.000005 system: b: one",
		"07.000005 system: two", "07.000006 cron: digest: done", "07.000007 cron: digest: Finished", "07.000008 web: "}
	if err != nil || !slices.Equal(got, want) || j.cursor != "c8" {
		t.Errorf("%v, cursor %q\n%q\n%q", err, j.cursor, got, want)
	}
}

// TestLongLine: a line without an end fills no memory, and the next one is read.
func TestLongLine(t *testing.T) {
	var got []int
	text := strings.Repeat("x", 5*maxLogLine) + "\nshort\n\nlast"
	if err := eachLine(strings.NewReader(text), func(line string) error { got = append(got, len(line)); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []int{maxLogLine, 5, 0, 4}; !slices.Equal(got, want) {
		t.Errorf("lines of %v bytes, want %v", got, want)
	}
}

func TestAlternatives(t *testing.T) {
	got := alternatives([][]string{{"A=1", "A=2"}, {"B=1"}})
	if want := []string{"A=1", "A=2", "+", "B=1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestParseTunnel(t *testing.T) {
	for text, want := range map[string]Tunnel{
		"15432:db:5432": {15432, "db", 5432}, "db:5432": {5432, "db", 5432}, "0:db:1": {0, "db", 1}, "80:10.0.0.1:80": {80, "10.0.0.1", 80},
		"": {}, "db": {}, "5432": {}, "a:b:c": {}, "1:2:3:4": {}, "1::2": {}, "1:db:0": {}, "70000:db:1": {}, "-1:db:1": {}, "1:db:": {},
	} {
		got, err := ParseTunnel(text)
		if (err == nil) != (want != Tunnel{}) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
