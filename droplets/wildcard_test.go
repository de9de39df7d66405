package droplets

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const someValue = "0123456789abcdefghijklmnopqrstuvwxyzABCDE-_"

// fakeCertbot asks its hook for each name, as certbot does, and notes with which
// options and answers it was called.
const fakeCertbot = `#!/bin/bash
printf '%s\n' "$@" >ROOT/options
while (($#)); do
	case $1 in
	--manual-auth-hook) hook=$2 ;;
	--domain=*) names+=("${1#--domain=}") ;;
	esac
	shift
done
left=${#names[@]}
trap 'echo ended >>ROOT/log; exit 143' TERM
for name in "${names[@]}"; do
	((--left)) || true
	CERTBOT_REMAINING_CHALLENGES=$left CERTBOT_DOMAIN=${name#\*.} CERTBOT_VALIDATION=` + someValue + ` sh -c "$hook" &
	wait $!
	echo "looked for $name" >>ROOT/log
done
[[ ! -e ROOT/refuses ]] || { echo 'the authority refuses' >&2; exit 1; }
`

// wildcardBox is the script on a folder of its own.
type wildcardBox struct {
	*testing.T
	root, script string
}

func newWildcardBox(t *testing.T) wildcardBox {
	t.Helper()
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("there is no flock")
	}
	b := wildcardBox{T: t, root: t.TempDir()}
	for _, dir := range []string{"bin", "run/lock", "etc/cattle", "opt/cattle"} {
		if err := os.MkdirAll(filepath.Join(b.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"bin/certbot": fakeCertbot, "opt/cattle/nginx-tls": "#!/bin/bash\necho nginx-tls >>ROOT/log\n",
		"etc/cattle/settings": "ACME_DIRECTORY=https://ca.example/directory\nACME_EMAIL=ops@example.com\n"} {
		if err := os.WriteFile(filepath.Join(b.root, path), []byte(strings.ReplaceAll(text, "ROOT", b.root)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.script = strings.NewReplacer("PATH=/usr/sbin", "PATH="+b.root+"/bin:/usr/sbin", "/etc/cattle", b.root+"/etc/cattle",
		"/run/", b.root+"/run/", "/opt/cattle", b.root+"/opt/cattle").Replace(wildcardScript)
	return b
}

// run plays the operator: answer says what comes after each challenge; "" is the
// end of his line.
func (b wildcardBox) run(answer string) (asked []string, stderr string, err error) {
	b.Helper()
	cmd := exec.Command("bash", "-c", b.script, wildcardName, "example.com", "*.example.com")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	late := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		asked = append(asked, lines.Text())
		if answer == "" {
			in.Close()
			continue
		}
		io.WriteString(in, answer+"\n")
	}
	err = cmd.Wait()
	return asked, complaints.String(), err
}

func (b wildcardBox) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.root, name))
	return string(text)
}

// TestWildcardScript: certbot goes on when the operator has answered, and leaves
// nothing behind.
func TestWildcardScript(t *testing.T) {
	b := newWildcardBox(t)
	asked, stderr, err := b.run("ok")
	if err != nil || !slices.Equal(asked, []string{"1 example.com " + someValue, "0 example.com " + someValue}) {
		t.Fatalf("%v: asked %q, %s", err, asked, stderr)
	}
	if log := b.read("log"); log != "looked for example.com\nlooked for *.example.com\nnginx-tls\n" {
		t.Errorf("%q", log)
	}
	options := strings.Split(b.read("options"), "\n")
	for _, want := range []string{"--manual", "--preferred-challenges", "dns", "--no-autorenew", "--force-renewal", "--cert-name", "cattle",
		"--domain=example.com", "--domain=*.example.com", "https://ca.example/directory", "ops@example.com"} {
		if !slices.Contains(options, want) {
			t.Errorf("certbot is not told %s", want)
		}
	}
	if _, err := os.Stat(filepath.Join(b.root, "run/cattle-wildcard")); err == nil {
		t.Error("its folder is left")
	}
	if err := os.WriteFile(filepath.Join(b.root, "refuses"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := b.run("ok"); err == nil || !strings.Contains(stderr, "the authority refuses") {
		t.Errorf("%v, %q", err, stderr)
	}
}

// TestWildcardScriptWithoutAnswer: the authority is not asked to look, whether the
// operator says no or is gone.
func TestWildcardScriptWithoutAnswer(t *testing.T) {
	for _, answer := range []string{"", "no"} {
		b := newWildcardBox(t)
		asked, _, err := b.run(answer)
		if err == nil || len(asked) != 1 {
			t.Errorf("%q: %v, asked %q", answer, err, asked)
		}
		for start := time.Now(); b.read("log") != "ended\n" && time.Since(start) < 10*time.Second; {
			time.Sleep(20 * time.Millisecond)
		}
		if log := b.read("log"); log != "ended\n" {
			t.Errorf("%q: %q", answer, log)
		}
		if _, err := os.Stat(filepath.Join(b.root, "run/cattle-wildcard")); err == nil {
			t.Error("its folder is left")
		}
	}
}

// TestChallenges: a droplet has no other record made than those of the names.
func TestChallenges(t *testing.T) {
	names := []string{"example.com", "*.example.com"}
	for _, tt := range []struct{ said, record, wrong string }{
		{"1 example.com " + someValue + "\n0 example.com " + someValue + "\n", "_acme-challenge.example.com", ""},
		{"", "", ""},
		{"0 other.com " + someValue + "\n", "", "belongs to no challenge"},
		{"0 *.example.com " + someValue + "\n", "", "belongs to no challenge"},
		{"0 example.com x\n", "", "belongs to no challenge"},
		{"0 example.com\n", "", "belongs to no challenge"},
		{"x example.com " + someValue + "\n", "", "invalid syntax"},
		{strings.Repeat("1 example.com "+someValue+"\n", 3), "_acme-challenge.example.com", "more than there are names"},
		{strings.Repeat("x", maxChallenges+1), "", "says more than"},
	} {
		var in bytes.Buffer
		var got []Challenge
		err := answerEach(strings.NewReader(tt.said), &in, names, func(c Challenge) error { got = append(got, c); return nil })
		if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%.60q: %v", tt.said, err)
		}
		if in.String() != strings.Repeat("ok\n", len(got)) || (tt.record != "") != (len(got) > 0) || len(got) > 0 && got[0] != (Challenge{tt.record, someValue, false}) {
			t.Errorf("%.60q: %+v, answered %q", tt.said, got, in.String())
		}
	}
	no := errors.New("no")
	if err := answerEach(strings.NewReader("0 example.com "+someValue+"\n"), io.Discard, names, func(Challenge) error { return no }); !errors.Is(err, no) {
		t.Error(err)
	}
}
