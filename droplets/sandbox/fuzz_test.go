package sandbox

import (
	"archive/tar"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzUserData: what a droplet was given as user-data is no reason to panic.
func FuzzUserData(f *testing.F) {
	const begin = "#cloud-config\nwrite_files:\n- {path: /etc/cattle/release.json, content: "
	for _, seed := range []string{"", "#cloud-config\n", "#!/bin/sh\n", begin + `"{\"format\":1,\"app\":\"blog\",\"attempt\":\"a\"}"}` + "\nruncmd: [/opt/cattle/boot]\n",
		begin + "H4sIAAAA, encoding: gz+b64}\n", begin + "'{}', encoding: b64}\nruncmd: [[1, {}], null]\nssh_keys: {ed25519_private: x}\n", "#cloud-config\na: &a [*a]\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, userData string) {
		s := &seed{files: map[string][]byte{}}
		if err := s.parse(userData); err == nil && s.manifest.Attempt == "" && s.manifest.App == "" && len(s.files) == 0 {
			t.Error("a machine boots a release of nothing")
		}
	})
}

// FuzzTree: no tar of certificates panics, or fills the memory.
func FuzzTree(f *testing.F) {
	f.Add(emptyTree())
	for _, h := range []*tar.Header{
		{Name: "etc/letsencrypt/live/cattle/cert.pem", Linkname: "/", Typeflag: tar.TypeSymlink},
		{Name: "../../etc/passwd", Size: 1, Typeflag: tar.TypeReg},
		{Name: "etc/letsencrypt/huge", Size: 1 << 40, Typeflag: tar.TypeReg},
		{Name: historyPath, Size: 1, Typeflag: tar.TypeReg},
		{Name: historyPath, Size: 1 << 40, Typeflag: tar.TypeReg},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(h)
		io.WriteString(w, "x")
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, tree []byte) {
		tree, history, err := unpackHistory(tree)
		if err != nil {
			return
		}
		if n := len(strings.Join(history, "\n")); n > maxPEM {
			t.Errorf("took %d bytes of history", n)
		}
		files, _, err := untar(tree)
		if err != nil {
			return
		}
		for name, content := range files {
			if len(content) > maxPEM || strings.Contains(name, "..") || !strings.HasPrefix(name, letsencrypt) {
				t.Errorf("took %q, %d bytes", name, len(content))
			}
		}
		parseTree(tree)
	})
}

// FuzzSOCKS: whatever a client says, the way to the droplets answers or hangs up.
func FuzzSOCKS(f *testing.F) {
	for _, seed := range []string{"", "\x05\x01\x00\x05\x01\x00\x01\xc6\x12\x00\x09\x00\x16", "\x05\xff", "\x05\x00\x05\x01\x00\x03\x00\x00\x00", "\x05\x00\x05\x02\x00\x04", "GET / HTTP/1.1\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go io.Copy(io.Discard, theirs)
		go func() { theirs.Write(said); theirs.Close() }()
		ours.SetDeadline(time.Now().Add(5 * time.Second))
		if addr, _, err := socksRequest(ours); err == nil {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				t.Errorf("%q: %v", addr, err)
			}
		}
	})
}

// FuzzRequests: no request to the API makes it panic or answer 5xx.
func FuzzRequests(f *testing.F) {
	for _, seed := range [][3]string{
		{"POST", "/v2/droplets", `{"name":"a","region":"fra1","size":"s-1vcpu-1gb","image":"debian-13-x64","tags":["x"],"user_data":"#cloud-config\n"}`},
		{"POST", "/v2/droplets", `{"names":[null,1],"image":-1,"ssh_keys":[{}]}`}, {"POST", "/v2/reserved_ips", `{"droplet_id":1e99}`}, {"GET", "/v2/droplets?tag_name=%00&page=-1&per_page=99999999999999999999", ""},
		{"POST", "/v2/droplets/1/actions", `{"type":"snapshot"}`}, {"DELETE", "/v2/tags/..%2f..", ""}, {"PUT", "/v2/account/keys/x", `[]`}, {"GET", "/metadata/v1/interfaces/public/0/ipv4/address", ""},
		{"POST", "/v2/firewalls", `{"inbound_rules":[{"ports":"x"}]}`}, {"POST", "/_sandbox/faults", `{"path":"[","delay":"9999999h"}`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequest(method, "http://api.test", strings.NewReader(body))
		if err != nil {
			return
		}
		if r.URL, err = r.URL.Parse(target); err != nil || strings.HasPrefix(r.URL.Path, "/_sandbox/") && strings.Contains(body, "status") {
			return // a fault that was ordered
		}
		cloud, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer cloud.Close()
		r.Header.Set("Authorization", "Bearer t")
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		cloud.ServeHTTP(answer, r)
		if answer.Code >= 500 {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	})
}
