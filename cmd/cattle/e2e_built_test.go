//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// builtProgram is all of an image that is built here.
const builtProgram = `package main

import "net/http"

func main() {
	http.ListenAndServe(":8000", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("built\n")) }))
}
`

const builtProfile = `app: built
domain: built.example.com
droplet: {region: fra1, size: s-1vcpu-1gb}
compose: compose.yaml
routes: [{to: "web:8000"}]
build: {via: ssh}
health: {interval: 500ms, deadline: 15s}
`

// One of the two is brought, the other one is pulled beside it.
const builtCompose = `services:
  web: {image: "built:${RELEASE}", build: ., expose: ["8000"]}
  side: {image: "public.example.net/blog:v1.0.0", command: serve, environment: {SESSION_KEY: "0123456789abcdef0123456789abcdef"}, volumes: ["data:/data"]}
volumes: {data: {}}
`

// built is a site whose image no registry has: what podman built here is what
// Docker runs there, and on the droplet of a rebuild.
func (r *rig) built(t *testing.T) {
	file := r.site(t, "built", map[string]string{"cattle.yaml": builtProfile, "compose.yaml": builtCompose,
		"main.go": builtProgram, "go.mod": "module built\n", "Dockerfile": "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\n"})
	dir := filepath.Dir(file)
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", "app", ".")
	compile.Dir, compile.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	storage := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", dir+"/graph", dir+"/run")
	if err := os.WriteFile(filepath.Join(dir, "storage.conf"), []byte(storage), 0o600); err != nil {
		t.Fatal(err)
	}
	mine := []string{"CATTLE_BUILDER=podman", "CONTAINERS_STORAGE_CONF=" + dir + "/storage.conf"}
	before, site := r.env, r.file
	r.env, r.file = append(r.env, mine...), file
	defer func() { r.env, r.file = before, site }()

	printed := r.must(t, exitDone, "v1", "release", "--build", "--file", file, "v1")
	if !strings.Contains(printed, "boot: images done") {
		t.Error("the boot did not wait for images")
	}
	inspect := exec.CommandContext(t.Context(), "podman", "image", "inspect", "--format", "{{.Id}}", "docker.io/library/built:v1")
	inspect.Env = append(os.Environ(), mine...)
	out, err := inspect.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := "sha256:" + strings.TrimSpace(string(out))
	const runs = `docker inspect --format '{{.Image}}' $(docker ps --quiet --filter label=com.docker.compose.service=web)`
	first := r.member(t, "live").ID
	if got := r.mustIn(t, first, runs); got != want {
		t.Errorf("%s runs, podman built %s", got, want)
	}
	r.must(t, exitDone, "v1", "rebuild", "--file", file)
	second := r.member(t, "live").ID
	if got := r.mustIn(t, second, runs); got != want || first == second {
		t.Errorf("%s runs on droplet %d after a rebuild, podman built %s", got, second, want)
	}
	r.sound(t, second)
	fmt.Fprintf(r.printed, "built here, brought, rebuilt: %s\n", want)
	if out, exit := r.run(t, "destroy", "--yes", "--with-ip", "--file", file); exit != exitDone {
		t.Errorf("exit status %d\n%s", exit, out)
	}
}
