package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cattle/droplets"
	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/described"
	"cattle/profiles"
	"cattle/secrets"
)

func TestMain(m *testing.M) {
	testscript.Main(observed{m}, programs)
}

// programs are what this binary is by another name, for scripts and tests.
var programs = map[string]func(){"cattle": main, "docker": standInDocker}

// observed runs the tests with every answer of their sandboxes held against
// the API's description. A script's commands are processes of this binary that
// never come here.
type observed struct{ m *testing.M }

func (o observed) Run() int {
	observe = described.Observer()
	return described.Main(o.m)
}

// boxKey is where a script's environment keeps its sandbox.
type boxKey struct{}

// TestScripts runs every verb as a user types it, each script with a sandbox
// of its own on loopback.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setupScript,
		Cmds:  scriptCommands(),
	})
}

// setupScript gives a script its sandbox.
func setupScript(e *testscript.Env) error {
	box, err := startSandbox(context.Background(), sandboxOptions{dir: filepath.Join(e.WorkDir, "box"),
		listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none",
		tokens: map[string][]string{"sandbox-weekly": runnersScopes(&profiles.Profile{})}})
	if err != nil {
		return err
	}
	e.Defer(func() { box.close() })
	e.Values[boxKey{}] = box
	return dressScript(e, box)
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits":  exits,
		"break":  breakRelease,
		"fault":  fault,
		"calls":  calls,
		"domain": domain,
		"api":    callAPI,
		"seal":   sealPairs,
		"noise":  noise,
		"sshkey": sshKey,
		"off":    powerOff,
		"live":   waitLive,
		"billed": billed,
		"update": update,
		"renew":  renew,
		"retag":  retag,
		"sink":   sinkOpens,
		"heard":  heard,
		"mailed": mailed, "relayed": relayed,
		"post": postRows,
		"rows": seeRows, "takevolume": takeVolume,
	}
}

// dressScript points the script at its sandbox and gives it an age key.
func dressScript(e *testscript.Env, box *runningSandbox) error {
	key, err := secrets.NewIdentity()
	if err != nil {
		return err
	}
	keyFile := filepath.Join(e.WorkDir, "age.key")
	for name, value := range box.env {
		e.Setenv(name, value)
	}
	e.Setenv("SOPS_AGE_KEY_FILE", keyFile)
	e.Setenv("RECIPIENT", key.Recipient)
	e.Setenv("HOME", e.WorkDir)
	return os.WriteFile(keyFile, []byte(key.Key.Reveal()+"\n"), 0o600)
}

func boxOf(ts *testscript.TestScript) *runningSandbox { return ts.Value(boxKey{}).(*runningSandbox) }

// exits STATUS COMMAND…: the command ends with exactly that exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var status *exec.ExitError
	if errors.As(err, &status) {
		got = status.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// break VERSION=KIND: the release misbehaves from now on.
func breakRelease(ts *testscript.TestScript, neg bool, args []string) {
	version, behaviour, err := sandbox.ParseBehaviour(args[0])
	ts.Check(err)
	boxOf(ts).cloud.Break(version, behaviour)
}

// fault METHOD PATH STATUS [MESSAGE]: that route answers so, every time; without
// arguments all is well again.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		boxOf(ts).cloud.ClearFaults()
		return
	}
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	boxOf(ts).cloud.Fault(sandbox.Fault{Method: args[0], Path: args[1], Count: -1, Status: status,
		Answer: `{"id":"x","message":"` + strings.Join(args[3:], " ") + `"}`})
}

// calls MOST: the API was called at most so often since the last `calls`.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	cloud := boxOf(ts).cloud
	if n := len(cloud.Requests()); n > most {
		ts.Fatalf("%d API calls, at most %d are allowed", n, most)
	}
	cloud.ResetRequests()
}

// domain NAME: its A record points at the account's reserved IP.
func domain(ts *testscript.TestScript, neg bool, args []string) {
	box := boxOf(ts)
	ip := box.cloud.Snapshot().ReservedIPs[0].IP
	ts.Check(box.post(context.Background(), "/v2/domains", map[string]string{"name": args[0], "ip_address": ip}))
}

// api METHOD PATH [BODY]: what somebody else's client calls; stdout is the answer.
func callAPI(ts *testscript.TestScript, neg bool, args []string) {
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(args[2])
	}
	req, err := http.NewRequest(args[0], boxOf(ts).env["DIGITALOCEAN_API_URL"]+args[1], body)
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+boxOf(ts).env["DIGITALOCEAN_ACCESS_TOKEN"])
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprint(ts.Stdout(), string(answer))
	if resp.StatusCode > 299 {
		ts.Fatalf("%s: %s", resp.Status, answer)
	}
}

// seal FILE NAME=VALUE…: a SOPS file for the script's age key.
func sealPairs(ts *testscript.TestScript, neg bool, args []string) {
	var pairs []secrets.Pair
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		pairs = append(pairs, secrets.Pair{Name: name, Value: secrets.NewString(value)})
	}
	format := map[string]secrets.Format{".env": secrets.Dotenv, ".yaml": secrets.YAML, ".json": secrets.JSON}[filepath.Ext(args[0])]
	raw, err := secrets.Encrypt(format, pairs, ts.Getenv("RECIPIENT"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), raw, 0o600))
}

// noise FILE BYTES: a file that no compression makes smaller.
func noise(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, n)
	rand.Read(b)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// sshkey FILE: a private key that no account knows.
func sshKey(ts *testscript.TestScript, neg bool, args []string) {
	key, err := droplets.NewHostKey()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(key.Private), 0o600))
}

// off VERSION: the droplet of that release is powered off.
func powerOff(ts *testscript.TestScript, neg bool, args []string) {
	box := boxOf(ts)
	for _, d := range box.cloud.Snapshot().Droplets {
		if d.Release == args[0] {
			ts.Check(box.post(context.Background(), fmt.Sprintf("/v2/droplets/%d/actions", d.ID), map[string]string{"type": "power_off"}))
		}
	}
}

// live VERSION: waits until the reserved IP points at that release.
func waitLive(ts *testscript.TestScript, neg bool, args []string) {
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(50 * time.Millisecond) {
		s := boxOf(ts).cloud.Snapshot()
		for _, d := range s.Droplets {
			if d.Release == args[0] && d.ID == s.ReservedIPs[0].Droplet {
				return
			}
		}
	}
	ts.Fatalf("%s did not become live", args[0])
}

// renew TIMES: somebody forces certbot on the live droplet.
func renew(ts *testscript.TestScript, neg bool, args []string) {
	times, err := strconv.Atoi(args[0])
	ts.Check(err)
	cloud := boxOf(ts).cloud
	for range times {
		ts.Check(cloud.Renew(cloud.Snapshot().ReservedIPs[0].Droplet))
	}
}

// update: the distribution has newer packages from now on.
func update(ts *testscript.TestScript, neg bool, args []string) { boxOf(ts).cloud.PublishUpdates() }

// retag FILE: the plan in the file was made when its tags stood for other images.
func retag(ts *testscript.TestScript, neg bool, args []string) {
	f, err := readPlanFile(ts.MkAbs(args[0]))
	ts.Check(err)
	for ref := range f.Images {
		f.Images[ref] = "sha256:" + strings.Repeat("0", 64)
	}
	ts.Check(f.write(ts.MkAbs(args[0])))
}

// billed nothing: nothing of the account costs money now.
func billed(ts *testscript.TestScript, neg bool, args []string) {
	s := boxOf(ts).cloud.Snapshot()
	if neg || len(args) != 1 || args[0] != "nothing" {
		ts.Fatalf("usage: billed nothing")
	}
	if len(s.Droplets)+len(s.ReservedIPs) > 0 {
		ts.Fatalf("there are %d droplets and %d reserved IPs", len(s.Droplets), len(s.ReservedIPs))
	}
}
