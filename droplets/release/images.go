package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"cattle/droplets"
)

// Images are those of a release that no registry has. They are brought to the
// candidate over SSH while it boots.
type Images struct {
	// IDs are the images' ids by reference: the SHA-256 of the config.
	IDs map[string]string
	// Size is how much Send writes, in bytes; 0: nobody knows.
	Size int64
	From string // where they are, for the reader
	// Send writes them as `docker save` does. It may be called again, from the
	// beginning, after a connection broke.
	Send func(ctx context.Context, to io.Writer) error
}

// Brought reads from the live droplet which images it was brought: none, where
// nothing is live.
func (o *Operator) Brought(ctx context.Context, w *World) (map[string]string, error) {
	if w.Live == nil || !w.Live.Born {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	m, err := o.connectLive(ctx, w)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return m.BroughtImages(ctx)
}

func (o *Operator) connectLive(ctx context.Context, w *World) (*droplets.Machine, error) {
	return droplets.Connect(ctx, o.Dialer, o.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
}

// LiveImages are images of the live droplet, to be brought from there through
// the operator.
func (o *Operator) LiveImages(w *World, ids map[string]string) *Images {
	refs := slices.Sorted(maps.Keys(ids))
	return &Images{IDs: ids, From: w.Live.Name, Send: func(ctx context.Context, to io.Writer) error {
		m, err := o.connectLive(ctx, w)
		if err != nil {
			return err
		}
		defer m.Close()
		return m.SaveImages(ctx, refs, to)
	}}
}

func (i *Images) String() string {
	text := fmt.Sprintf("%d images", len(i.IDs))
	if len(i.IDs) == 1 {
		text = "the image"
	}
	if i.Size > 0 {
		text += " (" + megabytes(i.Size) + " MB)"
	}
	return text + " from " + i.From
}

// imagesStep is the boot step that waits for them.
const imagesStep = "images"

// bringEvery is how often it is told how far they are.
const bringEvery = 5 * time.Second

// sendError is that the images could not be read where they are.
type sendError struct {
	from string
	err  error
}

func (e *sendError) Error() string { return fmt.Sprintf("the images of %s: %v", e.from, e.err) }
func (e *sendError) Unwrap() error { return e.err }

// bring streams the images to the candidate. What arrives there is held against
// their ids by the droplet itself.
func (r *run) bring(ctx context.Context) error {
	images := r.plan.candidate.Images
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, out := io.Pipe()
	r.brought.Store(0)
	sent := make(chan error, 1)
	go func() {
		err := images.Send(ctx, &counter{out, &r.brought})
		out.CloseWithError(err)
		sent <- err
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		r.tellBrought(ctx, images)
	}()
	err := r.machine.LoadImages(ctx, in)
	in.CloseWithError(errTaken)
	sendErr := <-sent
	cancel()
	<-told
	if sendErr != nil && !errors.Is(sendErr, errTaken) && !errors.Is(sendErr, context.Canceled) {
		return &sendError{images.From, sendErr}
	}
	return err
}

// errTaken ends the sending once the droplet takes no more.
var errTaken = errors.New("no more is taken")

// counter counts what passes.
type counter struct {
	to io.Writer
	n  *atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// tellBrought tells how far the images are, until ctx ends.
func (r *run) tellBrought(ctx context.Context, images *Images) {
	began := time.Now()
	for pause(ctx, bringEvery) == nil {
		r.emit(Event{Kind: KindImages, Step: imagesStep, State: StateRunning, Text: progress(r.brought.Load(), images.Size, time.Since(began))})
	}
}

// progress is how far it is, how fast it goes, and how long the rest will take.
func progress(sent, of int64, took time.Duration) string {
	text := megabytes(sent) + " MB"
	if of > 0 {
		text = fmt.Sprintf("%s of %s MB", megabytes(sent), megabytes(of))
	}
	rate := float64(sent) / took.Seconds()
	text += fmt.Sprintf(", %.1f MB/s", rate/1e6)
	if of > sent && rate > 0 {
		rest := time.Duration(float64(of-sent) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", rest.Round(time.Second))
	}
	return text
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/1e6) }

// tooLate says of a boot that was not over in time how far the images had come.
func (r *run) tooLate(cause error) error {
	images := r.plan.candidate.Images
	if images == nil || r.arrived || r.brought.Load() == 0 {
		return cause
	}
	return fmt.Errorf("%w: of the images %s MB had come; more time: release.boot_within", cause, megabytes(r.brought.Load()))
}
