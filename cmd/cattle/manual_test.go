package main

import (
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"unicode/utf8"

	"cattle/cmd/cattle/manual"
	"cattle/secrets"
)

// eachTopic calls do for every command that help shows.
func eachTopic(do func(manual.Topic)) {
	var walk func(manual.Topic)
	walk = func(t manual.Topic) {
		for _, s := range t.Topics {
			do(s)
			walk(s)
		}
	}
	walk(topicOf(newApp(stdio{})))
}

// examplesNotRun are those that the test below looks up and does not run.
func examplesNotRun() map[string]string {
	return map[string]string{
		"cattle init":              "what it does depends on the folder; see init.txtar",
		"cattle exec":              "stub machines have no psql, and sh reads what is typed; see looking.txtar",
		"cattle ssh":               "a session of a terminal; see looking.txtar",
		"cattle cp":                "files of the reader's; see looking.txtar",
		"cattle logs -f web nginx": "it ends when it is interrupted",
		"cattle logs --to standby": "the standby may be the one of a rollback",
		"cattle sandbox":           "it serves until it is interrupted",
		"cattle demo":              "make demo runs it",
		"cattle release --build":   "docker or podman; see build.txtar",
		"cattle backup":            "wants a repository of backups; see backup.txtar",
		"cattle restore":           "wants a repository of backups; see backup.txtar",
		"cattle release --restore": "wants a repository of backups; see data.txtar",
		"cattle rollback --carry":  "wants a profile with state; see data.txtar",
		"cattle rollback --disc":   "wants a profile with state; see data.txtar",
		"cattle rehearse":          "needs machines that boot, and root",
		"cattle doctor --measure":  "it asks before it spends",
	}
}

// beforehand is what an example needs that those before it did not leave.
func beforehand() map[string]string {
	return map[string]string{
		"cattle release --plan v1.2.0.plan": "cattle plan --out v1.2.0.plan v1.2.0",
		"cattle rollback v1.1.0":            "cattle release v1.1.0 && cattle release v1.2.0",
		"cattle rebuild":                    "cattle unpin",
	}
}

// TestExamples: every command has examples, every one of them is a command with
// flags that there are, and in the order of help all of them do on one site
// what they say.
func TestExamples(t *testing.T) {
	t.Parallel()
	site := released(t, typedCattle(t))
	site.withSecrets(t)
	eachTopic(func(topic manual.Topic) {
		examples := topic.Examples()
		if len(examples) == 0 {
			t.Errorf("%s has no example: indented lines at the end of its Description", topic.Name)
		}
		for _, e := range examples {
			line := strings.ReplaceAll(e.Line, "age1…", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
			if fault := unknownInCommand(newApp(stdio{}), line); fault != "" {
				t.Errorf("%s: %s", line, fault)
			}
			if !isRun(line) {
				continue
			}
			if before := beforehand()[e.Line]; before != "" {
				line = before + " && " + line
			}
			if out, err := site.shell(line); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	})
}

func isRun(line string) bool {
	for prefix := range examplesNotRun() {
		if strings.HasPrefix(line, prefix) {
			return false
		}
	}
	return true
}

func (s *releasedSite) shell(line string) (string, error) {
	cmd := s.command()
	sh := exec.Command("sh", "-c", line)
	sh.Dir, sh.Env, sh.Stdin = cmd.Dir, append(cmd.Env, "EDITOR=true", "PATH="+strings.TrimSuffix(s.bin, "cattle")+":/usr/bin:/bin"), strings.NewReader("typed\n")
	out, err := sh.CombinedOutput()
	return string(out), err
}

// withSecrets gives the site a secrets file and its key.
func (s *releasedSite) withSecrets(t *testing.T) {
	t.Helper()
	id, err := secrets.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	s.box.env["SOPS_AGE_KEY"] = id.Key.Reveal()
	s.write(t, "password", "one two three\n")
	s.write(t, "secrets.env", sealedDoc(t, []string{"DB_PASSWORD", "OLD_TOKEN"}, id))
	s.write(t, "cattle.yaml", docProfile+"secrets: {file: secrets.env}\nhealth: {interval: 100ms, deadline: 30s}\nenv: {DB_PASSWORD: \"${DB_PASSWORD}\"}\n")
}

// TestHelpFits: what cattle says of itself fits every terminal.
func TestHelpFits(t *testing.T) {
	root := topicOf(newApp(stdio{}))
	pages := []string{manual.Overview(root, overviewFoot)}
	eachTopic(func(topic manual.Topic) { pages = append(pages, manual.Help(topic)) })
	for _, page := range pages {
		for line := range strings.Lines(page) {
			if utf8.RuneCountInString(line) > 81 {
				t.Errorf("wider than 80 columns: %s", line)
			}
		}
	}
}

// TestHelpCommand: all ways to ask give the same page.
func TestHelpCommand(t *testing.T) {
	t.Parallel()
	bin := typedCattle(t)
	said := func(want int, args ...string) string {
		out, err := exec.Command(bin, args...).CombinedOutput()
		if got := exitOf(err); got != want {
			t.Errorf("cattle %v: exit status %d, not %d: %s", args, got, want, out)
		}
		return string(out)
	}
	for _, words := range []string{"", "release", "secrets", "secrets set", "secrets recipients add"} {
		path := strings.Fields(words)
		want := said(0, append([]string{"help"}, path...)...)
		if got := said(0, append(path, "--help")...); got != want || want == "" {
			t.Errorf("cattle help %s says:\n%s\nbut cattle %s --help:\n%s", words, want, words, got)
		}
	}
	if out := said(exitInput, "help", "secrets", "fly"); !strings.Contains(out, `there is no command "secrets fly"`) || !strings.Contains(out, "cattle secrets --help") {
		t.Errorf("of a command that there is not it says: %s", out)
	}
}

func exitOf(err error) int {
	if err == nil {
		return 0
	}
	if status, ok := err.(*exec.ExitError); ok {
		return status.ExitCode()
	}
	return -1
}

// TestManPage: the whole page, by its readers; and it has every variable of the
// environment that the README names.
func TestManPage(t *testing.T) {
	page := manPage(topicOf(newApp(stdio{})), build{Version: "v1.2.0", Date: "2026-11-22T10:00:00Z"})
	for _, reader := range [][]string{{"mandoc", "-Tlint", "-Wwarning"}, {"groff", "-man", "-Tutf8", "-ww", "-z", "-K", "utf8"}} {
		if _, err := exec.LookPath(reader[0]); err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		cmd := exec.Command(reader[0], reader[1:]...)
		cmd.Stdin = strings.NewReader(page)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", reader[0], err, out)
		}
	}
	if !strings.HasPrefix(page, `.TH CATTLE 1 "2026-11-22" "cattle v1.2.0"`+"\n") {
		t.Errorf("the page begins with %.80q", page)
	}
	for _, doc := range documents(t) {
		for _, b := range readDocument(t, doc).blocks {
			for _, m := range regexp.MustCompile(`(?m)^export (\w+)=`).FindAllStringSubmatch(b.text, -1) {
				forTests := m[1] == "CATTLE_LIVE" || m[1] == "CATTLE_OPENAPI"
				if !forTests && !strings.Contains(page, m[1]) {
					t.Errorf("%s:%d exports %s, of which the man page has nothing", doc, b.line, m[1])
				}
			}
		}
	}
}

func TestBuiltFrom(t *testing.T) {
	got := builtFrom(&debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-11-22T10:00:00Z"}, {Key: "vcs.modified", Value: "true"}}}, true)
	if text := got.String(); !strings.HasPrefix(text, "cattle v1.2.0\ncommit abc of 2026-11-22T10:00:00Z, with changes that are not committed\ngo1.") {
		t.Errorf("it says:\n%s", text)
	}
	if got := builtFrom(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, true); got.Version != "devel" || got.Commit != "" {
		t.Errorf("a build of no repository is %+v", got)
	}
	if got := builtFrom(nil, false); got.Version != "devel" {
		t.Errorf("a build that says nothing of itself is %+v", got)
	}
}
