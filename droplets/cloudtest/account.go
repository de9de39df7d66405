package cloudtest

import (
	"crypto/ed25519"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func (s *suite) unauthorized(t *testing.T) {
	other := *s
	other.api.Token = ""
	other.refused(t, 401, "GET", "/v2/account", nil)
}

func (s *suite) notFound(t *testing.T) {
	for _, path := range []string{"/v2/droplets/1", "/v2/reserved_ips/198.51.100.1", "/v2/tags/" + s.mark, "/v2/actions/1", "/v2/no-such-thing"} {
		s.refused(t, 404, "GET", path, nil)
	}
	s.refused(t, 404, "DELETE", "/v2/droplets/1", nil)
}

func (s *suite) rateLimitHeaders(t *testing.T) {
	a := s.want(t, 200, "GET", "/v2/account", nil)
	for _, name := range []string{"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"} {
		if a.header.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
}

func (s *suite) account(t *testing.T) {
	a := s.want(t, 200, "GET", "/v2/account", nil)
	if m := fields(a.at("account"), "droplet_limit", "floating_ip_limit", "email", "uuid", "email_verified", "status", "status_message"); m != nil {
		t.Error("account lacks", m)
	}
}

// catalogue wants what new droplets are made of.
func (s *suite) catalogue(t *testing.T) {
	a := s.want(t, 200, "GET", "/v2/sizes?per_page=200", nil)
	size := find(a.list("sizes"), "slug", s.api.Size)
	if m := fields(size, "available", "disk", "memory", "price_hourly", "price_monthly", "regions", "transfer", "vcpus", "description"); m != nil {
		t.Error("size lacks", m)
	}
	a = s.want(t, 200, "GET", "/v2/regions?per_page=200", nil)
	if m := fields(find(a.list("regions"), "slug", s.api.Region), "available", "features", "name", "sizes"); m != nil {
		t.Error("region lacks", m)
	}
	a = s.want(t, 200, "GET", "/v2/images?type=distribution&per_page=200", nil)
	if find(a.list("images"), "slug", s.api.Image) == nil {
		t.Error("no image", s.api.Image)
	}
	if a = s.want(t, 200, "GET", "/v2/images/"+s.api.Image, nil); a.text("image", "slug") != s.api.Image {
		t.Error("image by slug:", a.body)
	}
	s.refused(t, 404, "GET", "/v2/images/no-such-image", nil)
}

func find(list []any, field string, value any) map[string]any {
	for _, v := range list {
		if m, _ := v.(map[string]any); m[field] == value {
			return m
		}
	}
	return nil
}

// paging wants links that make sense, and to be led to the end by them.
func (s *suite) paging(t *testing.T) {
	a := s.want(t, 200, "GET", "/v2/sizes?per_page=5", nil)
	total := a.number("meta", "total")
	if a.has("links", "pages", "first") || a.has("links", "pages", "prev") || !a.has("links", "pages", "last") {
		t.Error("links of the first page:", a.at("links"))
	}
	seen := len(a.list("sizes"))
	if seen != 5 {
		t.Error("a page of 5 has", seen)
	}
	for a.has("links", "pages", "next") && seen < total {
		next, err := url.Parse(a.text("links", "pages", "next"))
		if err != nil {
			t.Fatal(err)
		}
		a = s.want(t, 200, "GET", next.RequestURI(), nil)
		seen += len(a.list("sizes"))
	}
	if seen != total || a.has("links", "pages", "next") || !a.has("links", "pages", "prev") {
		t.Errorf("pages hold %d of %d; links of the last: %v", seen, total, a.at("links"))
	}
}

func (s *suite) tags(t *testing.T) {
	name := s.mark + "_a:b"
	s.cleanup(t, "/v2/tags/"+name)
	a := s.want(t, 201, "POST", "/v2/tags", map[string]any{"name": name})
	if a.text("tag", "name") != name || a.number("tag", "resources", "count") != 0 {
		t.Error("new tag:", a.body)
	}
	s.refused(t, 400, "POST", "/v2/tags", map[string]any{"name": "no dots. or spaces"})
	s.want(t, 200, "GET", "/v2/tags/"+name, nil)
	nobody := map[string]any{"resources": []any{map[string]any{"resource_id": "1", "resource_type": "droplet"}}}
	s.refused(t, 404, "POST", "/v2/tags/"+s.mark+"-other/resources", nobody)
	s.want(t, 204, "DELETE", "/v2/tags/"+name, nil)
	s.refused(t, 404, "GET", "/v2/tags/"+name, nil)
}

func (s *suite) keys(t *testing.T) {
	key, md5sum := newKey(t)
	in := map[string]any{"name": s.mark, "public_key": key + " me"}
	a := s.want(t, 201, "POST", "/v2/account/keys", in)
	id, print := a.number("ssh_key", "id"), a.text("ssh_key", "fingerprint")
	s.cleanup(t, fmt.Sprint("/v2/account/keys/", id))
	if print != md5sum {
		t.Errorf("fingerprint %q is not the key's MD5, %q", print, md5sum)
	}
	if a = s.want(t, 200, "GET", "/v2/account/keys/"+print, nil); a.number("ssh_key", "id") != id {
		t.Error("key by fingerprint:", a.body)
	}
	s.refused(t, 422, "POST", "/v2/account/keys", in)
	s.refused(t, 422, "POST", "/v2/account/keys", map[string]any{"name": "x", "public_key": "nonsense"})
	s.want(t, 204, "DELETE", "/v2/account/keys/"+print, nil)
	s.refused(t, 404, "GET", fmt.Sprint("/v2/account/keys/", id), nil)
}

// newKey makes a public key as OpenSSH writes it, and its MD5 fingerprint.
func newKey(t *testing.T) (line, fingerprint string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var blob []byte
	for _, part := range [][]byte{[]byte("ssh-ed25519"), public} {
		blob = append(binary.BigEndian.AppendUint32(blob, uint32(len(part))), part...)
	}
	sum := md5.Sum(blob)
	pairs := strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":")
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob), pairs
}

// firewalls want their tags to exist, unlike droplets.
func (s *suite) firewalls(t *testing.T) {
	anyone := map[string]any{"addresses": []string{"0.0.0.0/0", "::/0"}}
	in := map[string]any{
		"name":          s.mark,
		"tags":          []string{s.mark + "-wall"},
		"inbound_rules": []any{map[string]any{"protocol": "tcp", "ports": "22", "sources": anyone}},
	}
	if a, err := s.do("POST", "/v2/firewalls", in); err != nil || a.status < 400 || a.status > 499 {
		t.Fatal("a firewall for a tag that does not exist:", a.status, a.body, err)
	}
	s.cleanup(t, "/v2/tags/"+s.mark+"-wall")
	s.want(t, 201, "POST", "/v2/tags", map[string]any{"name": s.mark + "-wall"})
	a := s.want(t, 202, "POST", "/v2/firewalls", in)
	path := "/v2/firewalls/" + a.text("firewall", "id")
	s.cleanup(t, path)
	if m := fields(a.at("firewall"), "id", "status", "created_at", "pending_changes", "name", "droplet_ids", "tags", "inbound_rules"); m != nil {
		t.Error("firewall lacks", m)
	}
	in["inbound_rules"] = append(in["inbound_rules"].([]any), map[string]any{"protocol": "tcp", "ports": "443", "sources": anyone})
	if a = s.want(t, 200, "PUT", path, in); len(a.list("firewall", "inbound_rules")) != 2 {
		t.Error("updated firewall:", a.body)
	}
	s.want(t, 204, "DELETE", path, nil)
	s.refused(t, 404, "GET", path, nil)
}

func (s *suite) projects(t *testing.T) {
	a := s.want(t, 200, "GET", "/v2/projects/default", nil)
	if a.at("project", "is_default") != true {
		t.Error("default project:", a.body)
	}
	s.want(t, 200, "GET", "/v2/projects/"+a.text("project", "id")+"/resources", nil)
}

func (s *suite) domains(t *testing.T) {
	if s.api.Domain == "" {
		t.Skip("no domain to try")
	}
	zone := "/v2/domains/" + s.api.Domain
	s.cleanup(t, zone)
	s.want(t, 201, "POST", "/v2/domains", map[string]any{"name": s.api.Domain})
	s.refused(t, 422, "POST", "/v2/domains", map[string]any{"name": s.api.Domain})
	a := s.want(t, 201, "POST", zone+"/records", map[string]any{"type": "A", "name": "www", "data": "198.18.0.1"})
	if a.number("domain_record", "ttl") == 0 {
		t.Error("record:", a.body)
	}
	record := fmt.Sprint(zone, "/records/", a.number("domain_record", "id"))
	s.refused(t, 422, "POST", zone+"/records", map[string]any{"type": "A", "name": "x", "data": "not an address"})
	s.want(t, 200, "PATCH", record, map[string]any{"type": "A", "data": "198.18.0.2"})
	a = s.want(t, 200, "GET", zone+"/records?type=A&name=www."+s.api.Domain, nil)
	if len(a.list("domain_records")) != 1 || a.text("domain_records", 0, "data") != "198.18.0.2" {
		t.Error("filtered records:", a.body)
	}
	// What a survey goes by: the list has every zone's file, a record a line.
	s.wait(t, "the record in its zone's file", func() bool {
		a := s.want(t, 200, "GET", "/v2/domains?per_page=200", nil)
		for i := range a.list("domains") {
			line := regexp.MustCompile(`(?m)^www\.` + regexp.QuoteMeta(s.api.Domain) + `\.\s+\d+\s+IN\s+A\s+198\.18\.0\.2$`)
			if a.text("domains", i, "name") == s.api.Domain && line.MatchString(a.text("domains", i, "zone_file")) {
				return true
			}
		}
		return false
	})
	s.want(t, 204, "DELETE", record, nil)
	s.refused(t, 404, "GET", record, nil)
}
