//go:build e2e

package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"cattle/secrets"
)

// shopProfile is a small site with secrets; each fault is a change of it.
const shopProfile = `app: shop
domain: shop.example.com
droplet: {region: fra1, size: s-1vcpu-1gb}
compose: compose.yaml
routes: [{to: "web:8000"}]
secrets: {file: secrets.env}
registry: [{server: ghcr.io, username: "${GHCR_USER}", password: "${GHCR_TOKEN}"}]
health: {path: /up, interval: 500ms, deadline: 15s}
`

const shopCompose = `services:
  web:
    image: ghcr.io/example/blog:${RELEASE}
    command: serve
    environment: {SESSION_KEY: "${SESSION_KEY}"}
    volumes: [data:/data]
    expose: ["8000"]
volumes: {data: {}}
`

// A fault is a change of the shop that makes a release of it fail, at a step,
// with some words of the reason among its last lines.
type refusal struct {
	name             string
	profile, compose string // added to the shop's
	replace          [2]string
	version          string
	secret           map[string]string // wrong values
	meddle           func(ctx context.Context, r *rig, id int)
	step, words      string
}

func refusals() []refusal {
	return []refusal{
		{name: "PackageThatDoesNotExist", profile: "packages: [no-such-package]\n", step: "boot step packages", words: "no-such-package"},
		{name: "ImageThatCannotBePulled", compose: "  extra: {image: \"private.example.net/not/ours:1\"}\n", step: "boot step pull", words: "private.example.net"},
		{name: "WrongRegistryPassword", secret: map[string]string{"GHCR_TOKEN": "wrong"}, step: "boot step registry", words: "401 Unauthorized"},
		{name: "WrongAgeKey", meddle: wrongKey, step: "boot step secrets", words: "sops"},
		{name: "ServiceThatExits", version: vExits, step: "", words: "web"},
		{name: "BadRoute", profile: "files: [{path: /etc/nginx/conf.d/mine.conf, content: \"server { listen 8080; location / { proxy_pass nowhere; } }\"}]\n", step: "boot step nginx", words: "/etc/nginx/conf.d/mine.conf"},
		{name: "FullDisk", meddle: fullDisk, step: "boot step pull", words: "no space left on device"},
	}
}

// TestBootedRefused breaks a release in every way that is likely, on booted machines:
// the old one goes on serving, and the reason is told.
func TestBootedRefused(t *testing.T) {
	r := newRig(t)
	r.file = r.shop(t, refusal{name: "shop"})
	r.sandbox.world.internet.Registry.Login("private.example.net", "somebody", "else's")
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
	for _, f := range refusals() {
		t.Run(f.name, func(t *testing.T) { r.refuse(t, f) })
	}
}

// shop lays out the shop with a fault in it and returns its profile.
func (r *rig) shop(t *testing.T, f refusal) string {
	t.Helper()
	var pairs []secrets.Pair
	for name, value := range r.values {
		if wrong := f.secret[name]; wrong != "" {
			value = wrong
		}
		pairs = append(pairs, secrets.Pair{Name: name, Value: secrets.NewString(value)})
	}
	sealed, err := secrets.Encrypt(secrets.Dotenv, pairs, r.recipient(t))
	if err != nil {
		t.Fatal(err)
	}
	compose := strings.Replace(shopCompose, "volumes: {data: {}}\n", f.compose+"volumes: {data: {}}\n", 1)
	return r.site(t, f.name, map[string]string{
		"cattle.yaml": strings.Replace(shopProfile+f.profile, f.replace[0], f.replace[1], 1), "compose.yaml": compose, "secrets.env": string(sealed)})
}

func (r *rig) refuse(t *testing.T, f refusal) {
	file := r.shop(t, f)
	version := f.version
	if version == "" {
		version = v2
	}
	before, err := r.serving(t.Context())
	if err != nil || before == "" {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if f.meddle != nil {
		go r.meddle(ctx, f.meddle)
	}
	printed, exit := r.run(t, "release", "--file", file, version)
	if exit != exitNotReleased {
		t.Errorf("exit status %d", exit)
	}
	for _, want := range []string{before + " still serves", f.step, f.words} {
		if !strings.Contains(printed, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if serving, err := r.serving(t.Context()); err != nil || serving != before {
		t.Errorf("%q serves: %v", serving, err)
	}
}

// meddle waits for a machine that was not there before.
func (r *rig) meddle(ctx context.Context, do func(context.Context, *rig, int)) {
	known := map[int]bool{}
	for _, d := range r.sandbox.cloud.Snapshot().Droplets {
		known[d.ID] = true
	}
	for ctx.Err() == nil {
		for _, d := range r.sandbox.cloud.Snapshot().Droplets {
			if !known[d.ID] && d.Status == "active" {
				do(ctx, r, d.ID)
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// wrongKey makes the droplet keep another key than the one that is delivered.
// It is there before sshd is.
func wrongKey(ctx context.Context, r *rig, id int) {
	other, _ := secrets.NewIdentity()
	key := other.Key.Reveal()
	command := fmt.Sprintf(`until sed -i 's|.*"$text" >"$KEY.new"|\techo %s >"$KEY.new"|' /opt/cattle/droplet && grep -q %s /opt/cattle/droplet; do sleep 0.02; done`, key, key)
	for ctx.Err() == nil {
		if _, err := r.in(ctx, id, command); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// fullDisk gives Docker a disk with no room.
func fullDisk(ctx context.Context, r *rig, id int) {
	for ctx.Err() == nil {
		if _, err := r.in(ctx, id, "mount -t tmpfs -o size=4m full /var/lib/docker"); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestBootedExposed is about a port that the compose file opens to the world.
func TestBootedExposed(t *testing.T) {
	r := newRig(t)
	open := refusal{name: "open", replace: [2]string{"app: shop", "app: open"}}
	r.file = r.shop(t, open)
	compose := strings.Replace(shopCompose, `    expose: ["8000"]`+"\n", `    ports: ["0.0.0.0:5432:8000"]`+"\n", 1)
	r.site(t, "open", map[string]string{"compose.yaml": compose})
	if out, exit := r.run(t, "check", "--file", r.file); exit != exitDone || !strings.Contains(out, "5432") {
		t.Errorf("check: exit status %d", exit)
	}
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if conn, err := r.sandbox.cloud.Dial(soon, "tcp", net.JoinHostPort(st.Droplets[0].Address, "5432")); err == nil {
		conn.Close()
		t.Error("5432 is open in spite of the packet filter")
	}
	r.mustIn(t, st.Droplets[0].ID, "curl --fail --silent http://127.0.0.1:5432/up")

	// Without the filter the port is open, and the gate sees it from outside.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.meddle(ctx, func(ctx context.Context, r *rig, id int) {
		for ctx.Err() == nil {
			r.in(ctx, id, "nft delete table inet cattle")
			time.Sleep(100 * time.Millisecond)
		}
	})
	out, exit := r.run(t, "release", "--file", r.file, v1)
	if exit != exitNotReleased || !strings.Contains(out, "5432") {
		t.Errorf("with the filter taken out: exit status %d", exit)
	}
}
