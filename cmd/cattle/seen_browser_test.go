//go:build seen

package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A browser is a Chromium that is told what to do through two pipes, by the
// protocol of its developer tools:
// https://chromedevtools.github.io/devtools-protocol/
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	session string
	calls   int
	loaded  bool
	// complaints are what it would show in its console.
	complaints []string
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct{ Message string }
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	back, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "seen")
	if err != nil {
		t.Fatal(err)
	}
	// Its own sandbox wants rights that a container's root has not got.
	cmd := exec.CommandContext(t.Context(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--remote-debugging-pipe", "--user-data-dir="+profile)
	cmd.ExtraFiles = []*os.File{theirs, answers} // 3 and 4, as it wants them
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	answers.Close()
	b := &browser{t: t, to: ours, from: bufio.NewReader(back)}
	t.Cleanup(func() {
		ours.Close() // it ends with its orders
		cmd.Wait()
		// Its children write there for a moment longer than it lives.
		for i := 0; os.RemoveAll(profile) != nil && i < 50; i++ {
			time.Sleep(100 * time.Millisecond)
		}
	})
	var target, attached struct{ TargetID, SessionID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call orders something and waits for its answer; what comes in between is noted.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.calls++
	order := map[string]any{"id": b.calls, "method": method}
	if params != nil {
		order["params"] = params
	}
	if b.session != "" {
		order["sessionId"] = b.session
	}
	raw, err := json.Marshal(order)
	if err == nil {
		_, err = b.to.Write(append(raw, 0))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.read()
		if m.ID != b.calls {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			err = json.Unmarshal(m.Result, result)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		return
	}
}

func (b *browser) read() (m message) {
	b.t.Helper()
	raw, err := b.from.ReadBytes(0)
	if err == nil {
		err = json.Unmarshal(raw[:len(raw)-1], &m)
	}
	if err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
	switch m.Method {
	case "Page.loadEventFired":
		b.loaded = true
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
		b.complaints = append(b.complaints, string(m.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct{ URL string }
		}
		if json.Unmarshal(m.Params, &sent); !strings.HasPrefix(sent.Request.URL, "file:") {
			b.complaints = append(b.complaints, "it asked for "+sent.Request.URL)
		}
	}
	return m
}

// A view is how a page is looked at.
type view struct {
	width, height int
	scheme        string // light or dark
	media         string // screen or print
}

func (l view) String() string { return fmt.Sprintf("%d-%s-%s", l.width, l.scheme, l.media) }

// open shows a page, and waits until it is drawn.
func (b *browser) open(path string, l view) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": l.width, "height": l.height, "deviceScaleFactor": 1, "mobile": l.width < 500}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"media": l.media,
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": l.scheme}}}, nil)
	absolute, err := filepath.Abs(path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.loaded = false
	b.call("Page.navigate", map[string]any{"url": "file://" + absolute}, nil)
	for !b.loaded {
		b.read()
	}
}

// eval runs a function in the page, from outside it.
func (b *browser) eval(function string, into any) {
	b.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": "(" + function + ")()", "returnByValue": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s", out.ExceptionDetails)
	}
	if err := json.Unmarshal(out.Result.Value, into); err != nil {
		b.t.Fatal(err)
	}
}

// shoot keeps the page as it looks.
func (b *browser) shoot(path string) {
	b.t.Helper()
	var shot struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(path, png, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
