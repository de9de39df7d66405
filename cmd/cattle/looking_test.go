package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"cattle/droplets/sandbox"
)

// TestLookingImpostor: who answers at the address of a droplet and does not
// hold the host key that its tag names is told nothing, whichever droplet it is.
func TestLookingImpostor(t *testing.T) {
	t.Parallel()
	s := newInterruptedSite(t)
	s.box.cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
	if p := s.start("release", "--keep-failed", "v3"); p.wait() != exitNotReleased {
		t.Fatal(p.said())
	}
	for _, to := range []string{"live", "standby", "candidate"} {
		s.must("ssh", "--to", to, "true")
	}
	for _, d := range s.box.cloud.Snapshot().Droplets {
		s.forge(d)
	}
	for _, to := range []string{"live", "standby", "candidate"} {
		for _, args := range [][]string{{"ssh", "--to", to, "echo", "told"}, {"logs", "--to", to}, {"logs", "-f", "--to", to},
			{"exec", "--to", to, "web", "echo", "told"}, {"cp", to + ":/etc/cattle/release.json", "-"}, {"ssh", "--to", to, "-L", "0:web:8000"}} {
			p := s.start(args...)
			late := time.AfterFunc(30*time.Second, func() { p.signal(syscall.SIGKILL) }) // who believes it may follow it for ever
			exit := p.wait()
			late.Stop()
			if exit != exitFailed || !strings.Contains(p.said(), "does not hold the droplet's host key") ||
				!strings.Contains(p.said(), "hint: somebody else answers") || strings.Contains(p.said(), "told\n") {
				t.Fatalf("%s: exit status %d\n%s", strings.Join(args, " "), exit, p.said())
			}
		}
	}
}

// forge gives a droplet the tag of another host key, which is as good as
// another machine at its address.
func (s *interruptedSite) forge(d sandbox.Machine) {
	s.t.Helper()
	for _, tag := range d.Tags {
		if !strings.HasPrefix(tag, "cattle:release:") {
			continue
		}
		one := map[string]any{"resources": []map[string]string{{"resource_id": fmt.Sprint(d.ID), "resource_type": "droplet"}}}
		other := tag[:len(tag)-64] + strings.Repeat("0", 64)
		s.call(http.MethodDelete, "/v2/tags/"+tag+"/resources", one)
		s.call(http.MethodPost, "/v2/tags", map[string]string{"name": other})
		s.call(http.MethodPost, "/v2/tags/"+other+"/resources", one)
	}
}

func (s *interruptedSite) call(method, path string, body any) {
	s.t.Helper()
	raw, _ := json.Marshal(body)
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://sandbox"+path, bytes.NewReader(raw))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.box.env["DIGITALOCEAN_ACCESS_TOKEN"])
	req.Header.Set("Content-Type", "application/json")
	res, err := s.box.cloud.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
}

// visit asks the site for a path as a visitor does.
func (s *interruptedSite) visit(path string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://"+s.box.cloud.Snapshot().ReservedIPs[0].IP+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = "blog.example.com"
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := s.box.cloud.HTTPClient().Do(req)
		if err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(end) {
			s.t.Fatal(err)
		}
	}
}

// TestLogsFollow follows through a cut of the connection and a switch of the
// live droplet: no line is lost and none comes twice.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	s := newInterruptedSite(t)
	p := s.start("logs", "-f", "--lines", "0", "--json", "web", "nginx")
	// The follower has no sign of its own to give: it is there when it shows a line.
	for i := 0; !strings.Contains(p.said(), "/hello"); i++ {
		s.visit(fmt.Sprint("/hello", i))
		time.Sleep(100 * time.Millisecond)
		if i > 300 {
			t.Fatal(p.said())
		}
	}
	s.visit("/before")
	s.await(p, "GET /before")
	s.call(http.MethodPost, fmt.Sprintf("/v2/droplets/%d/actions", s.live().ID), map[string]string{"type": "power_cycle"})
	s.visit("/cut")
	s.await(p, "was cut; trying again")
	s.visit("/back")
	s.await(p, "GET /back 200")
	s.must("release", "v3")
	s.visit("/switched")
	s.await(p, "blog-v3-")
	s.await(p, "GET /switched 200")
	time.Sleep(300 * time.Millisecond) // for what comes twice

	var seen []string
	for line := range strings.Lines(p.said()) {
		var e logJSON
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if m := regexp.MustCompile(`GET (/(before|cut|back|switched)) `).FindStringSubmatch(e.Line); m != nil {
			seen = append(seen, strings.Join(strings.Split(e.Droplet, "-")[:2], "-")+" "+e.Name+" "+m[1])
		}
	}
	slices.Sort(seen)
	want := []string{"blog-v2 nginx /back", "blog-v2 nginx /before", "blog-v2 nginx /cut", "blog-v2 web /back", "blog-v2 web /before", "blog-v2 web /cut",
		"blog-v3 nginx /switched", "blog-v3 web /switched"}
	if !slices.Equal(seen, want) {
		t.Errorf("%q\nwant %q\n%s", seen, want, p.said())
	}
	p.signal(syscall.SIGINT)
	if exit := p.wait(); exit != exitInterrupted || strings.Contains(p.said(), "error") || strings.Contains(p.said(), "interrupted") {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}
}

// TestTunnel asks the service's own port, and nobody's.
func TestTunnel(t *testing.T) {
	t.Parallel()
	s := newInterruptedSite(t)
	p := s.start("ssh", "-L", "0:web:8000", "-L", "0:127.0.0.1:81")
	s.await(p, "until you interrupt")
	doors := regexp.MustCompile(`cattle: (127\.0\.0\.1:\d+) leads to (.*) on blog-v2-`).FindAllStringSubmatch(p.said(), -1)
	if len(doors) != 2 || doors[0][2] != "web:8000 (172.20.0.2:8000)" {
		t.Fatal(p.said())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ask := func(door string) (string, error) {
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+door+"/", nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return string(text), err
	}
	for range 3 {
		if text, err := ask(doors[0][1]); err != nil || text != "blog v2\n" {
			t.Errorf("%q %v", text, err)
		}
	}
	if text, err := ask(doors[1][1]); err == nil {
		t.Errorf("%q", text)
	}
	s.await(p, "Connection refused")
	taken := s.start("ssh", "-L", strings.TrimPrefix(doors[0][1], "127.0.0.1:")+":web:8000")
	if exit := taken.wait(); exit != exitInput || !strings.Contains(taken.said(), "address already in use") || !strings.Contains(taken.said(), "cattle ssh -L 0:web:8000") {
		t.Errorf("exit status %d\n%s", exit, taken.said())
	}
	p.signal(syscall.SIGINT)
	if exit := p.wait(); exit != exitInterrupted || strings.Contains(p.said(), "cattle: error") {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}

	// The droplet goes away under the next one.
	p = s.start("ssh", "-L", "0:web:8000")
	s.await(p, "until you interrupt")
	s.call(http.MethodPost, fmt.Sprintf("/v2/droplets/%d/actions", s.live().ID), map[string]string{"type": "power_off"})
	if exit := p.wait(); exit != exitFailed || !strings.Contains(p.said(), "the connection to the droplet was cut") {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}
}

// TestExecTerminal types into a container's shell at a terminal, and into a
// droplet's.
func TestExecTerminal(t *testing.T) {
	t.Parallel()
	s := newInterruptedSite(t)
	for command, exit := range map[string]int{"exec web sh": 5, "ssh": 6} {
		p := s.prepare(strings.Fields(command)...)
		p.cmd.Env = append(p.cmd.Env, "TERM=xterm")
		terminal, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan struct{})
		go func() {
			io.Copy(&p.out, terminal)
			close(read)
		}()
		s.await(p, "# ")
		fmt.Fprintf(terminal, "echo typed\rexit %d\r", exit)
		p.cmd.Wait()
		<-read
		terminal.Close()
		if got := p.cmd.ProcessState.ExitCode(); got != exit || !strings.Contains(p.said(), "echo typed\r\ntyped\r\n") {
			t.Errorf("%s: exit status %d\n%q", command, got, p.said())
		}
	}
	// Into a terminal --raw does not go.
	p := s.prepare("logs", "--raw")
	terminal, err := pty.Start(p.cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	io.Copy(&p.out, terminal)
	if exit := p.wait(); exit != exitInput || !strings.Contains(p.said(), "cattle logs --raw > FILE") {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}
}
