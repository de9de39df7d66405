package main

import (
	"context"
	"sync"

	"cattle/droplets"
)

// remembering is a cloud of which each question that several looks have in
// common is asked once, whoever asks first; the answer, or the error, is
// everybody's. So it is asked on the command's context: who gives up must not
// take the others' answer along.
type remembering struct {
	droplets.Cloud
	ctx     context.Context
	mu      sync.Mutex
	answers map[string]func() (any, error)
}

func remember(ctx context.Context, c droplets.Cloud) *remembering {
	return &remembering{Cloud: c, ctx: ctx, answers: map[string]func() (any, error){}}
}

// ask is the answer to a question, which ask is called for but once.
func ask[T any](r *remembering, question string, ask func() (T, error)) (T, error) {
	r.mu.Lock()
	once := r.answers[question]
	if once == nil {
		once = sync.OnceValues(func() (any, error) { return ask() })
		r.answers[question] = once
	}
	r.mu.Unlock()
	answer, err := once()
	return answer.(T), err
}

func (r *remembering) Account(context.Context) (droplets.Account, error) {
	return ask(r, "account", func() (droplets.Account, error) { return r.Cloud.Account(r.ctx) })
}

func (r *remembering) CountDroplets(context.Context) (int, error) {
	return ask(r, "count", func() (int, error) { return r.Cloud.CountDroplets(r.ctx) })
}

func (r *remembering) Droplets(_ context.Context, tag string) ([]droplets.Droplet, error) {
	return ask(r, "droplets "+tag, func() ([]droplets.Droplet, error) { return r.Cloud.Droplets(r.ctx, tag) })
}

func (r *remembering) ReservedIPs(context.Context) ([]droplets.ReservedIP, error) {
	return ask(r, "addresses", func() ([]droplets.ReservedIP, error) { return r.Cloud.ReservedIPs(r.ctx) })
}

func (r *remembering) SSHKeys(context.Context) ([]droplets.SSHKey, error) {
	return ask(r, "keys", func() ([]droplets.SSHKey, error) { return r.Cloud.SSHKeys(r.ctx) })
}

func (r *remembering) Sizes(context.Context) ([]droplets.Size, error) {
	return ask(r, "sizes", func() ([]droplets.Size, error) { return r.Cloud.Sizes(r.ctx) })
}

func (r *remembering) Image(_ context.Context, slug string) (droplets.Image, error) {
	return ask(r, "image "+slug, func() (droplets.Image, error) { return r.Cloud.Image(r.ctx, slug) })
}
