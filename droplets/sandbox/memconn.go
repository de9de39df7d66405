package sandbox

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bufferSize is how much one side may write ahead of the other. net.Pipe has
// no buffer at all, on which SSH deadlocks: both sides begin by writing their
// version.
const bufferSize = 256 << 10

// half is one direction of a connection in memory.
type half struct {
	mu       sync.Mutex
	cond     sync.Cond
	buf      []byte
	eof      bool // the writer is done
	broken   bool // the reader is gone, or the connection was cut
	reading  deadline
	writing  deadline
	consumed int // bytes at the start of buf that were read
}

func newHalf() *half {
	h := &half{}
	h.cond.L = &h.mu
	return h
}

// deadline wakes a half when it has passed. Whoever sets one that has passed
// already wakes it himself: in a testing/synctest bubble under the race detector
// two timers that are due at once, of two goroutines, crash Go 1.26's runtime.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) set(t time.Time, wake func()) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = t
	if left := time.Until(t); !t.IsZero() && left > 0 {
		d.timer = time.AfterFunc(left, wake)
	}
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (h *half) wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cond.Broadcast()
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.broken:
			return 0, syscall.ECONNRESET
		case h.reading.passed():
			return 0, os.ErrDeadlineExceeded
		case h.consumed < len(h.buf):
			n := copy(p, h.buf[h.consumed:])
			h.take(n)
			return n, nil
		case h.eof:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		h.cond.Wait()
	}
}

// take drops what was read; the buffer is used again once it is empty.
func (h *half) take(n int) {
	h.consumed += n
	if h.consumed == len(h.buf) {
		h.buf, h.consumed = h.buf[:0], 0
	}
	h.cond.Broadcast()
}

func (h *half) write(p []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(p) > 0 {
		room := bufferSize - (len(h.buf) - h.consumed)
		switch {
		case h.broken:
			return n, syscall.EPIPE
		case h.eof:
			return n, net.ErrClosed
		case h.writing.passed():
			return n, os.ErrDeadlineExceeded
		case room > 0:
			m := min(room, len(p))
			h.buf = append(h.buf, p[:m]...)
			p, n = p[m:], n+m
			h.cond.Broadcast()
		default:
			h.cond.Wait()
		}
	}
	return n, nil
}

// finish ends a direction: what is in the buffer can still be read.
func (h *half) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eof = true
	h.cond.Broadcast()
}

// cut ends it at once.
func (h *half) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken, h.buf, h.consumed = true, nil, 0
	h.reading.set(time.Time{}, nil)
	h.writing.set(time.Time{}, nil)
	h.cond.Broadcast()
}

// memConn is one end of a connection in memory.
type memConn struct {
	in, out       *half
	local, remote net.Addr
	closed        atomic.Bool
	onClose       func()
}

// pipe makes both ends of a connection from one address to another.
func pipe(from, to net.Addr) (client, server *memConn) {
	a, b := newHalf(), newHalf()
	return &memConn{in: a, out: b, local: from, remote: to}, &memConn{in: b, out: a, local: to, remote: from}
}

func (c *memConn) Read(p []byte) (int, error) { n, err := c.in.read(p); return n, c.wrap("read", err) }
func (c *memConn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}
func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

// CloseWrite tells the other end that nothing more comes.
func (c *memConn) CloseWrite() error {
	c.out.finish()
	return nil
}

// Close ends both directions; the other end still reads what was written.
func (c *memConn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.out.finish()
	c.in.cut()
	if c.onClose != nil {
		c.onClose()
	}
	return nil
}

// cut resets the connection, as a machine does that loses its power.
func (c *memConn) cut() {
	c.in.cut()
	c.out.cut()
}

func (c *memConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.reading.set(t, c.in.wake)
	c.in.cond.Broadcast()
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.writing.set(t, c.out.wake)
	c.out.cond.Broadcast()
	return nil
}

func (c *memConn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if c.closed.Load() {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
