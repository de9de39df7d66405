package probe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/release/probe"
)

// TestSeesIsFresh: what was seen before it is asked counts for nothing, and an
// answer that fails ends a row.
func TestSeesIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body atomic.Value
		body.Store("old")
		p := probe.Start(t.Context(), probe.Door{Dial: answering(&body), Host: "blog.example.com", Address: "198.18.0.1"}, "/", 100*time.Millisecond)
		defer p.Stop()
		time.Sleep(time.Minute)
		body.Store("new")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Sees(ctx, "old", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it sees what is not there any more: %v", err)
		}
		if err := p.Sees(t.Context(), "new", 3); err != nil {
			t.Error(err)
		}
	})
}

// answering dials servers that say what body holds, one for each connection.
func answering(body *atomic.Value) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			buf := make([]byte, 4<<10)
			if _, err := server.Read(buf); err != nil {
				return
			}
			w := httptest.NewRecorder()
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, body.Load().(string))
			resp := w.Result()
			resp.ContentLength = int64(w.Body.Len())
			resp.Write(server)
		}()
		return client, nil
	}
}
