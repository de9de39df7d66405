package sandbox

import (
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

func TestMemConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := pipe(&net.TCPAddr{}, &net.TCPAddr{})
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

// TestPassedDeadlines is for the race detector, under which Go's runtime cannot
// run two timers of a bubble that are due at once.
func TestPassedDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				a, b := pipe(&net.TCPAddr{}, &net.TCPAddr{})
				defer b.Close()
				defer a.Close()
				for range 1000 {
					a.SetDeadline(time.Now())
				}
				if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %v, want that the deadline has passed", err)
				}
			})
		}
		wg.Wait()
	})
}
