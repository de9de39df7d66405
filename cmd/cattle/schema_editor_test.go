//go:build clients

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestClientsEditor has yaml-language-server, which VS Code, Neovim, Helix and
// Emacs use, read the schema by the line that docs/profile.md shows: it marks
// what is wrong, and proposes keys and values.
func TestClientsEditor(t *testing.T) {
	modules := os.Getenv("CATTLE_CLIENTS_NODE")
	if modules == "" {
		t.Fatal("CATTLE_CLIENTS_NODE is not set: make clients")
	}
	dir := t.TempDir()
	var out bytes.Buffer
	std := newStdio(strings.NewReader(""), &out, io.Discard)
	if err := schema(std); err != nil {
		t.Fatal(err)
	}
	writeDoc(t, filepath.Join(dir, "cattle.schema.json"), out.String())
	e := startEditor(t, modules, dir)
	const modeline = "# yaml-language-server: $schema=cattle.schema.json\n"

	sound := modeline + docProfile + "health: {interval: 500ms}\nfiles: [{path: /etc/motd, content: hello}]\n"
	if marks := e.open(t, "sound.yaml", sound); len(marks) > 0 {
		t.Errorf("a sound profile has marks: %v", marks)
	}
	wrong := modeline + docProfile + "imge: x\ndroplet: {image: windows}\nhealth: {interval: 5, status: ok, timeout: soon}\n"
	marks := fmt.Sprint(e.open(t, "wrong.yaml", wrong))
	for _, want := range []string{"5: Property imge is not allowed", "6: Value is not accepted. Valid values: \"debian-13-x64\"", "7: a duration, such as 30s", "7: Incorrect type"} {
		if !strings.Contains(marks, want) {
			t.Errorf("no mark %q among %s", want, marks)
		}
	}
	e.open(t, "keys.yaml", modeline+"app: blog\ndroplet:\n  \n")
	keys := e.complete(t, "keys.yaml", 3, 2)
	for _, want := range []string{"region", "size", "ssh_keys", "baked_within"} {
		if !slices.Contains(keys, want) {
			t.Errorf("droplet: is offered %v, not %s", keys, want)
		}
	}
	e.open(t, "values.yaml", modeline+"app: blog\ndroplet:\n  image: \n")
	if values := e.complete(t, "values.yaml", 3, 9); !slices.Contains(values, "ubuntu-24-04-x64") {
		t.Errorf("droplet.image: is offered %v", values)
	}
}

// A languageServer is one that this test talks to as an editor does.
type languageServer struct {
	dir    string
	in     io.Writer
	id     int
	answer chan map[string]any
	marks  chan map[string]any
}

func startEditor(t *testing.T, modules, dir string) *languageServer {
	t.Helper()
	cmd := exec.Command("node", filepath.Join(modules, "yaml-language-server/bin/yaml-language-server"), "--stdio")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &languageServer{dir: dir, in: in, answer: make(chan map[string]any, 1), marks: make(chan map[string]any, 64)}
	var g errgroup.Group
	g.Go(func() error { return e.listen(bufio.NewReader(out)) })
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		g.Wait()
		cmd.Wait()
	})
	e.ask(t, "initialize", map[string]any{"processId": os.Getpid(), "rootUri": "file://" + dir, "capabilities": map[string]any{
		"textDocument": map[string]any{"completion": map[string]any{}, "publishDiagnostics": map[string]any{}}}})
	e.tell(t, "initialized", map[string]any{})
	return e
}

// listen hands on what the server says, to its end.
func (e *languageServer) listen(r *bufio.Reader) error {
	for {
		head, err := textproto.NewReader(r).ReadMIMEHeader()
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(head.Get("Content-Length"))
		if err != nil {
			return err
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		var m map[string]any
		if err := json.Unmarshal(body, &m); err != nil {
			return err
		}
		method, asked := m["method"].(string)
		switch {
		case method == "textDocument/publishDiagnostics":
			e.marks <- m["params"].(map[string]any)
		case asked && m["id"] != nil: // it wants to know the editor's settings: none
			e.send(map[string]any{"jsonrpc": "2.0", "id": m["id"], "result": nil})
		case !asked:
			e.answer <- m
		}
	}
}

func (e *languageServer) send(m map[string]any) error {
	raw, err := json.Marshal(m)
	if err == nil {
		_, err = fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(raw), raw)
	}
	return err
}

func (e *languageServer) tell(t *testing.T, method string, params any) {
	t.Helper()
	if err := e.send(map[string]any{"jsonrpc": "2.0", "method": method, "params": params}); err != nil {
		t.Fatal(err)
	}
}

func (e *languageServer) ask(t *testing.T, method string, params any) map[string]any {
	t.Helper()
	e.id++
	if err := e.send(map[string]any{"jsonrpc": "2.0", "id": e.id, "method": method, "params": params}); err != nil {
		t.Fatal(err)
	}
	return within(t, method, e.answer)
}

func within(t *testing.T, what string, from <-chan map[string]any) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case m := <-from:
		return m
	case <-ctx.Done():
		t.Fatalf("no answer to %s within a minute", what)
		return nil
	}
}

func (e *languageServer) uri(name string) string { return "file://" + filepath.Join(e.dir, name) }

// open shows a file to the server, and returns its marks, each as "line: text".
func (e *languageServer) open(t *testing.T, name, text string) (marks []string) {
	t.Helper()
	e.tell(t, "textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": e.uri(name), "languageId": "yaml", "version": 1, "text": text}})
	for {
		m := within(t, "the marks of "+name, e.marks)
		if m["uri"] != e.uri(name) {
			continue
		}
		for _, d := range m["diagnostics"].([]any) {
			d := d.(map[string]any)
			line := d["range"].(map[string]any)["start"].(map[string]any)["line"]
			marks = append(marks, fmt.Sprintf("%v: %v", line, d["message"]))
		}
		return marks
	}
}

// complete is what is offered at a place, counted from 0.
func (e *languageServer) complete(t *testing.T, name string, line, column int) (labels []string) {
	t.Helper()
	m := e.ask(t, "textDocument/completion", map[string]any{"textDocument": map[string]any{"uri": e.uri(name)}, "position": map[string]int{"line": line, "character": column}})
	result, _ := m["result"].(map[string]any)
	items, _ := result["items"].([]any)
	for _, it := range items {
		labels = append(labels, it.(map[string]any)["label"].(string))
	}
	return labels
}
