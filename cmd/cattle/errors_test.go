package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"cattle/docs"
	"cattle/droplets/sandbox"
	"cattle/secrets"
)

// updatePages writes what the tests saw into docs/errors.md and diagnostics.md.
var updatePages = flag.Bool("update", false, "rewrite the screens of docs/errors.md and docs/diagnostics.md")

// TestErrors provokes every failure of docs/errors.md: the script of its name
// in testdata/errors does what leads to it, and the screens of the page are what
// the commands printed, from the error on, and the exit status.
func TestErrors(t *testing.T) {
	t.Parallel()
	screens := newScreens(t, docs.Errors)
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var scripted []string
	for _, file := range files {
		scripted = append(scripted, strings.TrimSuffix(filepath.Base(file), ".txtar"))
	}
	for _, s := range docs.Sections() {
		if s.Page == docs.Errors && !slices.Contains(scripted, s.Code) {
			t.Errorf("nothing provokes %s: testdata/errors/%[1]s.txtar", s.Code)
		}
		scripted = slices.DeleteFunc(scripted, func(code string) bool { return code == s.Code })
	}
	if len(scripted) > 0 {
		t.Errorf("docs/errors.md has no section for the scripts %v", scripted)
	}
	commands := scriptCommands()
	commands["fails"] = screens.fails
	commands["answer"] = answerWith
	commands["hostkey"] = changeHostKey
	commands["locked"] = lockedKey
	commands["later"] = answerLater
	commands["slow"] = answerSlowly
	commands["missing"] = missingImage
	commands["ownip"] = nameIP
	commands["unassign"] = unassign
	commands["unmark"] = unmark
	commands["secondip"] = secondIP
	commands["somebody"] = somebodySwitches
	commands["lentvolume"] = lentVolume
	// Where the scripts are through, the page is compared as a whole.
	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{Dir: "testdata/errors", Setup: setupFailure, Cmds: commands})
	})
	screens.compare(t)
}

// setupFailure is a script's sandbox, with a site to release.
func setupFailure(e *testscript.Env) error {
	if err := setupScript(e); err != nil {
		return err
	}
	e.Setenv("CODE", strings.TrimPrefix(filepath.Base(e.WorkDir), "script-"))
	path := filepath.Join(e.WorkDir, "cattle.yaml")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return os.WriteFile(path, []byte(docProfile+"health: {interval: 100ms, deadline: 2s}\n"), 0o600)
}

// screens are what a page shows of commands: blocks that begin with `$ `.
type screens struct {
	path string
	mu   sync.Mutex
	shot map[string][]string // by code, in the order of the script
}

func newScreens(t *testing.T, page string) *screens {
	t.Helper()
	return &screens{path: filepath.Join("../../docs", page), shot: map[string][]string{}}
}

// fails STATUS COMMAND…: it ends so, and its section's next screen shows it.
func (s *screens) fails(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	said := ts.ReadFile("stderr")
	command := strings.Join(args[1:], " ")
	if args[0] != "0" {
		command += " # exit status " + args[0]
	}
	code := ts.Getenv("CODE")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shot[code] = append(s.shot[code], "$ "+command+"\n"+fromError(said))
}

// fromError leaves out what a command said before it failed.
func fromError(said string) string {
	lines := strings.SplitAfter(said, "\n")
	first := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "cattle: error:") })
	if first < 0 {
		return said
	}
	for first > 0 && faultLine.MatchString(lines[first-1]) {
		first--
	}
	return strings.Join(lines[first:], "")
}

// faultLine is of a droplet's last words, or of a diagnostic.
var faultLine = regexp.MustCompile(`^(    \| |  |[^ ]+: (error|warning): )`)

// shownScreen is a block of the page that shows a command.
var shownScreen = regexp.MustCompile("(?ms)^```text\n(\\$ .*?)^```\n")

// compare holds the screens of each section against what was seen.
func (s *screens) compare(t *testing.T) {
	raw, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	page := strings.SplitAfter(string(raw), "\n### ")
	for i, section := range page {
		code, _, _ := strings.Cut(section, "\n")
		seen := s.shot[code]
		shown := shownScreen.FindAllStringSubmatch(section, -1)
		if i == 0 || len(seen) == 0 {
			continue // the introduction; and TestErrors has told of a script that there is not
		}
		if len(seen) != len(shown) {
			t.Errorf("%s: %s has %d screens, its script %d", s.path, code, len(shown), len(seen))
			continue
		}
		for k, m := range shown {
			if !*updatePages && sameBut(seen[k]) != sameBut(m[1]) {
				t.Errorf("%s: %s shows\n%s\nbut this was seen:\n%s", s.path, code, m[1], seen[k])
			}
			page[i] = strings.Replace(page[i], m[0], "```text\n"+seen[k]+"```\n", 1)
		}
	}
	if *updatePages {
		writeDoc(t, s.path, strings.Join(page, ""))
	}
}

// sameBut is a screen without what differs from run to run.
func sameBut(s string) string {
	s = withoutChance(s)
	for _, r := range [][2]string{
		{`\(request [0-9a-fID-]+\)`, "(request X)"}, {`\b[0-9a-f]{16}\b`, "ATTEMPT"}, {`\b[0-9a-f]{64}\b`, "KEY"},
		{`\b\d\d:\d\d:\d\d\b`, "CLOCK"}, {`\b\d+ms\b`, "TIME"}, {`the largest parts: .*`, "PARTS"}, {`\b\d{4,6}\b`, "N"},
		// A survey asks for several lists at once, and the first failure is told.
		{`list .*?: Get "[^"]+"`, "list: Get"}, {`list .*?: the API answered`, "list: the API answered"},
	} {
		s = regexp.MustCompile(r[0]).ReplaceAllString(s, r[1])
	}
	return s
}

// answer METHOD PATH STATUS TEXT: that route, or verb (SSH), answers so.
func answerWith(ts *testscript.TestScript, neg bool, args []string) {
	status, err := strconv.Atoi(args[2])
	ts.Check(err)
	boxOf(ts).cloud.Fault(sandbox.Fault{Method: args[0], Path: args[1], Count: -1, Status: status, Answer: strings.Join(args[3:], " ")})
}

// later METHOD PATH NTH STATUS TEXT: the same, from the nth call on.
func answerLater(ts *testscript.TestScript, neg bool, args []string) {
	nth, err := strconv.Atoi(args[2])
	ts.Check(err)
	status, err := strconv.Atoi(args[3])
	ts.Check(err)
	boxOf(ts).cloud.Fault(sandbox.Fault{Method: args[0], Path: args[1], Nth: nth, Count: -1, Status: status, Answer: args[4]})
}

// slow METHOD PATH DURATION: that route, or verb (SSH), answers so late.
func answerSlowly(ts *testscript.TestScript, neg bool, args []string) {
	late, err := time.ParseDuration(args[2])
	ts.Check(err)
	boxOf(ts).cloud.Fault(sandbox.Fault{Method: args[0], Path: args[1], Count: -1, Delay: late})
}

// missing REFERENCE: no registry has that image.
func missingImage(ts *testscript.TestScript, neg bool, args []string) {
	boxOf(ts).cloud.MissingImage(args[0])
}

func reservedIP(ts *testscript.TestScript) string {
	return boxOf(ts).cloud.Snapshot().ReservedIPs[0].IP
}

// ownip: the profile names the account's reserved IP.
func nameIP(ts *testscript.TestScript, neg bool, args []string) {
	profile := ts.ReadFile("cattle.yaml") + "reserved_ip: " + reservedIP(ts) + "\n"
	ts.Check(os.WriteFile(ts.MkAbs("cattle.yaml"), []byte(profile), 0o600))
}

// unassign: somebody takes the reserved IP off its droplet.
func unassign(ts *testscript.TestScript, neg bool, args []string) {
	callAPI(ts, false, []string{"POST", "/v2/reserved_ips/" + reservedIP(ts) + "/actions", `{"type":"unassign"}`})
}

// secondip: another reserved IP points at the app's oldest droplet.
func secondIP(ts *testscript.TestScript, neg bool, args []string) {
	box := boxOf(ts)
	ts.Check(box.post(context.Background(), "/v2/reserved_ips", map[string]int{"droplet_id": box.cloud.Snapshot().Droplets[0].ID}))
}

// unmark: the live droplet is as a release left it that died before its mark.
func unmark(ts *testscript.TestScript, neg bool, args []string) {
	live := boxOf(ts).cloud.Snapshot().ReservedIPs[0].Droplet
	callAPI(ts, false, []string{"DELETE", "/v2/tags/cattle:served/resources",
		fmt.Sprintf(`{"resources":[{"resource_id":"%d","resource_type":"droplet"}]}`, live)})
}

// somebody METHOD PATH: when that is called, somebody points the reserved IP at
// the app's oldest droplet, in the middle of what the caller is at.
func somebodySwitches(ts *testscript.TestScript, neg bool, args []string) {
	box, ip := boxOf(ts), reservedIP(ts)
	oldest := box.cloud.Snapshot().Droplets[0].ID
	box.cloud.Fault(sandbox.Fault{Method: args[0], Path: args[1], After: true, Strike: func() {
		ts.Check(box.post(context.Background(), "/v2/reserved_ips/"+ip+"/actions", map[string]any{"type": "assign", "droplet_id": oldest}))
	}})
}

// hostkey: the live droplet's tag names another host key than it has, as that
// of a droplet whose host key somebody changed.
func changeHostKey(ts *testscript.TestScript, neg bool, args []string) {
	box := boxOf(ts)
	d := box.cloud.Snapshot().Droplets[0]
	i := slices.IndexFunc(d.Tags, func(t string) bool { return strings.HasPrefix(t, "cattle:release:") })
	tag := d.Tags[i]
	callAPI(ts, false, []string{"DELETE", "/v2/tags/" + tag})
	tag = tag[:strings.LastIndex(tag, ":")+1] + strings.Repeat("0", 64)
	ctx := context.Background()
	ts.Check(box.post(ctx, "/v2/tags", map[string]string{"name": tag}))
	ts.Check(box.post(ctx, "/v2/tags/"+tag+"/resources", map[string]any{
		"resources": []map[string]string{{"resource_id": strconv.Itoa(d.ID), "resource_type": "droplet"}}}))
}

// locked FILE: an SSH key that takes a passphrase.
func lockedKey(ts *testscript.TestScript, neg bool, args []string) {
	_, key, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("a passphrase"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(block), 0o600))
}

var faultBlock = regexp.MustCompile("(?ms)^```yaml fault\n# ([\\w.]+)\n(.*?)^```\n")

// TestDiagnosticsArePages provokes every fault of docs/diagnostics.md: the
// section's example has it, and its screen is what cattle check prints of it.
func TestDiagnosticsArePages(t *testing.T) {
	t.Parallel()
	shot := newScreens(t, docs.Diagnostics)
	for _, s := range docs.Sections() {
		if s.Page != docs.Diagnostics {
			continue
		}
		dir := t.TempDir()
		layOutFault(t, dir)
		for _, m := range faultBlock.FindAllStringSubmatch(s.Text, -1) {
			writeDoc(t, filepath.Join(dir, m[1]), m[2])
		}
		said := checkStrictly(filepath.Join(dir, "cattle.yaml"))
		said = strings.ReplaceAll(said, dir+"/", "")
		if !strings.Contains(said, " ["+s.Code+"]\n") {
			t.Errorf("the example of %s has another fault, or none:\n%s", s.Code, said)
		}
		shot.shot[s.Code] = []string{"$ cattle check --strict # exit status 2\n" + said}
	}
	shot.compare(t)
}

// layOutFault writes what examples of faults name.
func layOutFault(t *testing.T, dir string) {
	t.Helper()
	id, err := secrets.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	writeDoc(t, filepath.Join(dir, "secrets.env"), sealedDoc(t, []string{"TOKEN"}, id))
	writeDoc(t, filepath.Join(dir, "plain.env"), "TOKEN=not-a-secret\n")
	noise := make([]byte, 70_000)
	rand.Read(noise)
	writeDoc(t, filepath.Join(dir, "noise.bin"), string(noise))
}

// checkStrictly is what cattle check --strict says of a profile, without its
// last line, which counts.
func checkStrictly(path string) string {
	var out bytes.Buffer
	std := newStdio(strings.NewReader(""), io.Discard, &out)
	std.env = func(string) string { return "" }
	ctx := context.Background()
	report(ctx, check(ctx, std, path, true, false), std, false)
	said, _, _ := strings.Cut(out.String(), "cattle: error:")
	return said
}
