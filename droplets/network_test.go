package droplets_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// FuzzRegistry: whatever a registry answers, a look at it ends, and a digest is one.
func FuzzRegistry(f *testing.F) {
	digest := "sha256:" + strings.Repeat("1", 64)
	for _, seed := range []string{
		"", "HTTP/1.1 200 OK\r\nDocker-Content-Digest: " + digest + "\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer realm=\"http://elsewhere/\",service=\"\x1b[2J\"\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 x\r\nContent-Length: 60\r\n\r\n{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"\\u001b[2J\"}]}",
		"HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:\n\r\n", "HTTP/1.1 307 x\r\nLocation: /v2/\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		// The client asks again after a second: there is nothing new to hear.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		got, err := droplets.ResolveImage(ctx, saying(said), "localhost:5000/me/blog:v1")
		if err == nil && !bytes.Contains([]byte(got), []byte("sha256:")) {
			t.Errorf("the digest is %q", got)
		}
		if err == nil {
			shows(t, got)
		}
	})
}

// saying is a way at whose end the same is said on every connection.
type saying []byte

func (s saying) DialContext(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go io.Copy(io.Discard, theirs)
	go func() { theirs.Write(s); theirs.Close() }()
	return ours, nil
}

// FuzzProxy: whatever the proxy of ALL_PROXY answers, a connection is one or an
// error, soon.
func FuzzProxy(f *testing.F) {
	for _, seed := range []string{"", "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00hello", "\x05\xff", "\x05\x00\x05\x05\x00\x03\xffxx", "\x04\x00", "HTTP/1.1 400 x\r\n\r\n", "\x05\x00\x05\x00\x00\x09"} {
		f.Add([]byte(seed))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { listener.Close() })
	// The variable is looked at once a process.
	os.Setenv("ALL_PROXY", "socks5h://"+listener.Addr().String())
	defer os.Unsetenv("ALL_PROXY")
	dialer, err := droplets.DialerFromEnvironment()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, conn)
			conn.Write(said)
			conn.(*net.TCPConn).CloseWrite()
			time.Sleep(10 * time.Millisecond)
			conn.Close()
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		conn, err := dialer.DialContext(ctx, "tcp", "198.18.0.9:22")
		if err == nil {
			conn.Close()
		}
		if ctx.Err() != nil {
			t.Error("it hangs")
		}
	})
}
