package droplets_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cattle/droplets"
	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/described"
)

// account is a sandbox and a client of it.
func account(t *testing.T) (*sandbox.Cloud, droplets.Cloud) {
	t.Helper()
	cloud, err := sandbox.New(sandbox.Options{Observe: described.Observer()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	return cloud, open(t, cloud.Client().Transport)
}

// post is a call of somebody else's client.
func post(t *testing.T, cloud *sandbox.Cloud, path, body string) {
	t.Helper()
	req, _ := http.NewRequest(http.MethodPost, "http://api.test"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer x")
	resp, err := cloud.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode > 299 {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, answer)
	}
}

// TestRecordsBothWays: a zone's file and its records say the same in the same words.
func TestRecordsBothWays(t *testing.T) {
	cloud, api := account(t)
	post(t, cloud, "/v2/domains", `{"name":"example.com","ip_address":"198.51.100.7"}`)
	for _, body := range []string{`{"type":"CNAME","name":"www","data":"@"}`, `{"type":"CNAME","name":"out","data":"A.example.net."}`, `{"type":"MX","name":"@","data":"mx.example.net.","priority":1}`,
		`{"type":"AAAA","name":"six","data":"2001:db8::1"}`, `{"type":"TXT","name":"_cattle.blog","data":"cattle:app:blog"}`} {
		post(t, cloud, "/v2/domains/example.com/records", body)
	}
	ctx := t.Context()
	if err := api.MakeRecord(ctx, "example.com", droplets.Record{Type: "A", Name: "blog.example.com", Data: "198.51.100.8", TTL: 300}); err != nil {
		t.Fatal(err)
	}
	zones, err := api.Zones(ctx)
	if err != nil || len(zones) != 1 || !zones[0].Known {
		t.Fatal(zones, err)
	}
	records, err := api.Records(ctx, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	words := func(rs []droplets.Record) (out []string) {
		for _, r := range rs {
			out = append(out, fmt.Sprint(r, " ", r.TTL))
		}
		return out
	}
	want := "[A example.com 198.51.100.7 1800 CNAME www.example.com example.com 1800 CNAME out.example.com a.example.net 1800 " +
		"AAAA six.example.com 2001:db8::1 1800 TXT _cattle.blog.example.com cattle:app:blog 1800 A blog.example.com 198.51.100.8 300]"
	if got, file := fmt.Sprint(words(records)), fmt.Sprint(words(zones[0].Records)); got != want || file != want {
		t.Errorf("records %s\nfile    %s\nwant    %s", got, file, want)
	}
	last := records[len(records)-1]
	last.Data = "198.51.100.9"
	if err := api.ChangeRecord(ctx, "example.com", last); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is gone already is no error
		if err := api.DeleteRecord(ctx, "example.com", records[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	if records, err = api.Records(ctx, "example.com"); err != nil || len(records) != 5 || records[4].String() != "A blog.example.com 198.51.100.9" {
		t.Error(words(records), err)
	}
}

// TestOddZoneFiles: what is not what the API writes is not known, and Records is asked.
func TestOddZoneFiles(t *testing.T) {
	for file, known := range map[string]bool{
		"": false,
		"$ORIGIN example.com.\n$TTL 1800\nexample.com. IN SOA ns1.digitalocean.com. x. 1 2 3 4 5\nexample.com. 1800 IN A 198.51.100.7\n": true,
		"blog 1800 IN A 198.51.100.7\n":                        false, // a relative name
		"blog.example.com. IN A 198.51.100.7\n":                false, // no TTL
		"blog.example.com. 1800 CH A 198.51.100.7\n":           false,
		"blog.example.com. soon IN A 198.51.100.7\n":           false,
		"example.com. 1800 IN TXT ( \"a\"\n\"b\" )\n":          false,
		"blog.example.com. 1800 IN A 198.51.100.7 ; comment\n": true,
	} {
		api := open(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			body := fmt.Sprintf(`{"domains":[{"name":"example.com","zone_file":%q}]}`, file)
			return always{200, nil, func() io.Reader { return strings.NewReader(body) }}.RoundTrip(r)
		}))
		zones, err := api.Zones(t.Context())
		if err != nil || len(zones) != 1 || zones[0].Known != known {
			t.Errorf("%q: %+v %v, want known %v", file, zones, err, known)
		}
	}
}

// TestFirewallsBothWays: what was made is read back as the same rules.
func TestFirewallsBothWays(t *testing.T) {
	_, api := account(t)
	ctx := t.Context()
	want := droplets.Firewall{Name: "cattle-blog", Tags: []string{"cattle:app:blog"},
		Inbound:  []droplets.Rule{droplets.NewRule("tcp", "22", "203.0.113.9/24", "2001:db8::7/128"), droplets.NewRule("icmp", "", "0.0.0.0/0", "::/0")},
		Outbound: []droplets.Rule{droplets.NewRule("udp", "all", "::/0", "0.0.0.0/0")}}
	if err := api.MakeFirewall(ctx, want); err != nil {
		t.Fatal(err)
	}
	if err := api.MakeFirewall(ctx, want); droplets.StatusOf(err) != http.StatusConflict {
		t.Error("a second one:", err)
	}
	all, err := api.Firewalls(ctx)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	got := all[0]
	want.ID, want.Droplets = got.ID, got.Droplets
	if fmt.Sprint(got) != fmt.Sprint(want) || len(got.Droplets) > 0 {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	got.Inbound = got.Inbound[:1]
	if err := api.ChangeFirewall(ctx, got); err != nil {
		t.Fatal(err)
	}
	if all, _ = api.Firewalls(ctx); fmt.Sprint(all[0]) != fmt.Sprint(got) {
		t.Errorf("%+v\nwant %+v", all[0], got)
	}
	for range 2 {
		if err := api.DeleteFirewall(ctx, got.ID); err != nil {
			t.Fatal(err)
		}
	}
}
