package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// asked waits for the request: what comes before it is no answer to net/http.
func asked(conn net.Conn) { http.ReadRequest(bufio.NewReader(conn)) }

// FuzzAnswer: whatever answers at the door, a look at it ends, and what it says
// is short.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n4f1c0a9b8d7e6f50", "HTTP/1.1 200 \x1b[2J\r\n\r\n", "HTTP/1.1 308 x\r\nLocation: http://elsewhere/\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 50),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeader+1) + "\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nX: \x01" + strings.Repeat("x", 3000) + "\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("y", 3000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		d := Door{Address: "198.18.0.9", Host: "blog.example.com", Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				asked(theirs)
				theirs.Write(said)
			}()
			return ours, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if id, err := d.Identity(ctx, d.Client()); len(id) > aWord || err != nil && len(err.Error()) > 1000 {
			t.Errorf("said %d bytes: %v", len(id), err)
		}
		d.Healthy(ctx, d.Client(), Health{Path: "/", Status: 200, Timeout: time.Second})
		if ctx.Err() != nil {
			t.Error("it hangs")
		}
	})
}

// TestEndlessAnswer: a body or a header without an end is left soon.
func TestEndlessAnswer(t *testing.T) {
	for _, begin := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 ", ""} {
		read := 0
		d := Door{Address: "198.18.0.9", Host: "blog.example.com", Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				asked(theirs)
				io.WriteString(theirs, begin)
				for part := []byte(strings.Repeat("x", 64<<10)); ; {
					n, err := theirs.Write(part)
					if read += n; err != nil {
						return
					}
				}
			}()
			return ours, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := d.Identity(ctx, d.Client())
		if err == nil || ctx.Err() != nil {
			t.Errorf("after %q: %v", begin, err)
		}
		cancel()
	}
}
