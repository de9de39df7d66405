//go:build seen

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/cmd/cattle/page"
	"cattle/droplets/release"
)

// Tests that look at what is to be looked at: with a Chromium and a tmux, which
// have to be there. make seen runs them.

// seenSite is a site with v1 as standby and v2 live, on a sandbox that takes its
// time, and the environment that points commands at it.
func seenSite(t *testing.T) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	box, err := startSandbox(t.Context(), sandboxOptions{dir: filepath.Join(dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0",
		latency: "fast", broken: []string{"v3=fails-step:packages"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.close() })
	writeDoc(t, filepath.Join(dir, "cattle.yaml"), docProfile+"health: {interval: 100ms, deadline: 5s}\n")
	for name, value := range box.env {
		env = append(env, name+"="+value)
	}
	env = append(env, "HOME="+dir, "PATH="+os.Getenv("PATH"), "LANG=C.UTF-8", "TERM=xterm-256color")
	seenRun(t, dir, env, 0, "release", "v1")
	return dir, env
}

func seenRun(t *testing.T, dir string, env []string, exit int, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), typedCattle(t), args...)
	cmd.Dir, cmd.Env = dir, append(env, "CI=true")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != exit {
		t.Fatalf("cattle %v: exit status %d\n%s", args, cmd.ProcessState.ExitCode(), out)
	}
}

// seenPages are pages of real runs, and one of texts that fit nowhere.
func seenPages(t *testing.T) (pages []string) {
	t.Helper()
	dir, env := seenSite(t)
	for _, run := range []struct {
		exit int
		args string
	}{{0, "release --report released.html v2"}, {3, "release --report refused.html v3"}, {0, "rollback --report rollback.html"}} {
		seenRun(t, dir, env, run.exit, strings.Fields(run.args)...)
		pages = append(pages, filepath.Join(dir, strings.Fields(run.args)[2]))
	}
	long := strings.Repeat("long-", 60) + "日本語 <b>" + strings.Repeat("word ", 60)
	r := page.NewRecord("release", long)
	r.Planned(&release.Plan{Site: release.Site{App: long}, Release: long, World: &release.World{}, Steps: []release.Step{{Name: long, Title: long}},
		Changes: []release.Change{{What: long, From: long, To: long}}}, []page.Difference{{What: long, Text: long}}, []string{long})
	for _, state := range []release.State{release.StateRunning, release.StateFailed} {
		r.Happened(release.Event{Time: time.Now(), Kind: release.KindStep, Step: "boot", State: state, Text: long})
		r.Happened(release.Event{Time: time.Now(), Kind: release.KindBoot, Step: long, State: state, Text: long})
	}
	f, err := os.Create(filepath.Join(dir, "long.html"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.Write(f, page.Outcome{Status: 3, Serving: long, Failures: []page.Failure{{Msg: long, Hint: long, Tail: long}}}); err != nil {
		t.Fatal(err)
	}
	return append(pages, f.Name())
}

// tooWide are the elements that stick out of the page. What scrolls by itself
// does not, and what is there for readers alone is nowhere.
const tooWide = `() => {
	const root = document.documentElement
	const out = root.scrollWidth > root.clientWidth ? ["the page: " + root.scrollWidth + " of " + root.clientWidth] : []
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest(".scroll, .unseen, .who, svg")) continue
		const r = e.getBoundingClientRect()
		if (r.width > 0 && (r.right > root.clientWidth + 1 || r.left < -1)) out.push(e.className + " " + e.textContent.slice(0, 40))
	}
	return out
}`

// tooFaint are the texts whose contrast is below 4.5, as WCAG counts it.
const tooFaint = `() => {
	const parse = c => c.match(/[\d.]+/g).map(Number)
	const light = c => { const f = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]) }
	const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] }
	const out = []
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
	for (let n; n = texts.nextNode();) {
		if (!n.textContent.trim() || n.parentElement.closest("style, .unseen")) continue
		const a = light(parse(getComputedStyle(n.parentElement).color)), b = light(behind(n.parentElement))
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
		if (ratio < 4.5) out.push(ratio.toFixed(2) + ": " + n.textContent.trim().slice(0, 40))
	}
	return out
}`

// TestSeenPage opens pages in a browser, on a wide and on a narrow screen, light
// and dark, and on paper. Screenshots are kept in the folder SEEN, if that is set.
func TestSeenPage(t *testing.T) {
	pages := seenPages(t)
	b := startBrowser(t)
	for _, path := range pages {
		for _, l := range []view{{1200, 900, "light", "screen"}, {1200, 900, "dark", "screen"}, {360, 740, "light", "screen"}, {360, 740, "dark", "screen"}, {720, 1000, "light", "print"}} {
			b.open(path, l)
			name := strings.TrimSuffix(filepath.Base(path), ".html") + "-" + l.String()
			var wide, faint []string
			b.eval(tooWide, &wide)
			b.eval(tooFaint, &faint)
			if len(wide) > 0 {
				t.Errorf("%s: too wide: %q", name, wide)
			}
			if len(faint) > 0 {
				t.Errorf("%s: too faint: %q", name, faint)
			}
			if dir := os.Getenv("SEEN"); dir != "" {
				b.shoot(filepath.Join(dir, name+".png"))
			}
		}
	}
	if len(b.complaints) > 0 {
		t.Errorf("the browser complains: %q", b.complaints)
	}
}

// A pane is a terminal in a tmux server of its own.
type pane struct {
	t      *testing.T
	socket string
}

// newPane runs a shell command in a pane of that size.
func newPane(t *testing.T, dir string, env []string, columns, rows int, command string) *pane {
	t.Helper()
	p := &pane{t, filepath.Join(t.TempDir(), "tmux")}
	cmd := exec.Command("tmux", "-S", p.socket, "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), command)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("tmux", "-S", p.socket, "kill-server").Run() })
	return p
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", p.socket}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (p *pane) resize(columns, rows int) {
	p.t.Helper()
	p.tmux("resize-window", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows))
}

// text is what the pane shows; with all, what has scrolled away too.
func (p *pane) text(all bool) string {
	p.t.Helper()
	args := []string{"capture-pane", "-p"}
	if all {
		args = append(args, "-S", "-", "-J")
	}
	return strings.TrimRight(p.tmux(args...), "\n") + "\n"
}

// await waits until the pane shows something.
func (p *pane) await(what string) string {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text := p.text(true); strings.Contains(text, what) {
			return text
		}
	}
	p.t.Fatalf("it never showed %q:\n%s", what, p.text(true))
	return ""
}

// TestSeenTerminal resizes a real terminal, which folds its lines anew, in the
// middle of a boot. No row is there twice, and the record is whole.
func TestSeenTerminal(t *testing.T) {
	dir, env := seenSite(t)
	p := newPane(t, dir, env, 80, 24, typedCattle(t)+" release v2; echo status $?; sleep 60")
	p.await("packages")
	for _, size := range [][2]int{{40, 24}, {120, 40}, {60, 10}, {20, 24}, {80, 24}} {
		p.resize(size[0], size[1])
		time.Sleep(3 * frameEvery)
		text := p.text(false)
		for _, row := range []string{"⠋ boot ", "then handoff"} {
			if n := strings.Count(spin(text), row); n > 1 {
				t.Errorf("%v: %q is there %d times\n%s", size, row, n, text)
			}
		}
	}
	record := p.await("status 0")
	if strings.ContainsAny(record, frames) || strings.Contains(record, "then ") {
		t.Errorf("something of what moved is left:\n%s", record)
	}
	var steps []string
	for line := range strings.Lines(record) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "✓" {
			steps = append(steps, words[1])
		}
	}
	if want := strings.Fields("create boot handoff gate switch confirm retire record"); !slices.Equal(steps, want) {
		t.Errorf("the record has %v\n%s", steps, record)
	}
	if !strings.Contains(record, "v2 is live") {
		t.Errorf("no result:\n%s", record)
	}
}

// TestSeenKilled kills the drawing process: the cursor is there, lines wrap, and
// what is typed next stands below what was kept.
func TestSeenKilled(t *testing.T) {
	dir, env := seenSite(t)
	p := newPane(t, dir, env, 80, 24, typedCattle(t)+" release v2 & sleep 1; while ! kill -9 $!; do :; done; wait; echo over; sleep 60")
	p.await("over")
	flags := p.tmux("display-message", "-p", "#{cursor_flag} #{wrap_flag}")
	if strings.TrimSpace(flags) != "1 1" {
		t.Errorf("cursor and wrapping: %s", flags)
	}
}
