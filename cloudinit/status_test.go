package cloudinit

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// dockerAnswers are what Docker's own interface says of a site with three
// containers, one of which is gone when it is looked at.
func dockerAnswers() map[string]string {
	return map[string]string{
		"/containers/json": `[{"Id":"b"},{"Id":"gone"},{"Id":"a"}]`,
		"/containers/a/json": `{"Image":"sha256:1","Config":{"Image":"ghcr.io/me/blog:v1@sha256:aa","Labels":{"com.docker.compose.service":"web"}},
			"State":{"Status":"running","ExitCode":0,"Health":{"Status":"healthy"}}}`,
		"/containers/b/json": `{"Image":"sha256:2","Config":{"Image":"redis:8","Labels":{"com.docker.compose.service":"cache"}},
			"State":{"Status":"exited","ExitCode":137}}`,
		"/images/sha256:1/json": `{"RepoDigests":["ghcr.io/me/blog@sha256:aa"]}`,
		"/images/sha256:2/json": `{"RepoDigests":[]}`,
	}
}

// fakeDocker answers on a socket, and returns its path and what it was asked.
func fakeDocker(t *testing.T, answers map[string]string) (string, *[]string) {
	t.Helper()
	path := t.TempDir() + "/docker.sock"
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked := &[]string{}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.Path+" "+r.URL.Query().Get("filters"))
		text, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			text = `{"message":"No such container"}`
		}
		w.Write([]byte(text))
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return path, asked
}

// runStatus runs the real script beside a Docker, with a brief of the state engine.
func runStatus(t *testing.T, docker, brief string) map[string]any {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"/release.json": `{"app":"blog","release":"v1","attempt":"4f1c","services":["cache","web","worker"]}`, "/state/brief.json": brief,
		"/journal": `{"step":"app","state":"failed"}` + "\n" + `{"step":"boot","state":"failed"}` + "\n" + `{"torn`,
	} {
		if err := os.MkdirAll(dir+"/state", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(script(t, "status"))
	cmd.Env = append(os.Environ(), "CATTLE_ETC="+dir, "CATTLE_STATE="+dir, "CATTLE_DOCKER="+docker)
	start := time.Now()
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("answered in %s", time.Since(start).Round(time.Millisecond))
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

func asText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func TestStatus(t *testing.T) {
	docker, asked := fakeDocker(t, dockerAnswers())
	got := runStatus(t, docker, `{"phase":"frozen","until_ms":5}`)
	for key, want := range map[string]string{
		"app": `"blog"`, "release": `"v1"`, "attempt": `"4f1c"`, "boot": `"failed"`, "failed_step": `"app"`, "certificate": "null",
		"services": `[{"exit":137,"health":"","name":"cache","state":"exited"},{"exit":0,"health":"healthy","name":"web","state":"running"},` +
			`{"exit":0,"health":"","name":"worker","state":"missing"}]`,
		"images": `{"ghcr.io/me/blog:v1":"sha256:aa"}`, "state": `{"phase":"frozen","until_ms":5}`,
	} {
		if text := asText(got[key]); text != want {
			t.Errorf("%s: %s, want %s", key, text, want)
		}
	}
	if want := `/containers/json {"label": ["com.docker.compose.project=blog", "com.docker.compose.oneoff=False"]}`; (*asked)[0] != want {
		t.Errorf("asked for %s", (*asked)[0])
	}
}

// TestStatusWithoutDocker: a droplet whose Docker does not answer, or makes no
// sense, has a status all the same.
func TestStatusWithoutDocker(t *testing.T) {
	for name, answers := range map[string]map[string]string{"none": nil, "nonsense": {"/containers/json": "<html>"}, "empty": {"/containers/json": "[]"}} {
		docker := t.TempDir() + "/gone.sock"
		if answers != nil {
			docker, _ = fakeDocker(t, answers)
		}
		got := runStatus(t, docker, "torn {")
		if services := asText(got["services"]); strings.Count(services, `"missing"`) != 3 || asText(got["images"]) != "{}" || got["state"] != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}
