package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"cattle/droplets"
	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/internet"
	"cattle/droplets/sandbox/nspawn"
)

// A world is really booted machines and what they find outside themselves.
type world struct {
	cloud    *sandbox.Cloud
	host     *nspawn.Host
	internet *internet.Internet
	metadata *http.Server
}

// bootMachines makes the machines' side of a sandbox, before there is a cloud.
func bootMachines(ctx context.Context, dir string, opts sandboxOptions) (*world, error) {
	w := &world{}
	host, err := nspawn.New(ctx, nspawn.Options{Dir: filepath.Join(dir, "machines"), NoCloud: opts.noCloud, Say: opts.say,
		UserData: func(id int) []byte { return w.cloud.UserData(id) },
		Keys:     func(id int) []string { return w.cloud.AuthorizedKeys(id) }})
	w.host = host
	return w, err
}

// join gives the cloud's machines the world outside: names, the metadata
// service, an authority for certificates, registries, a relay for mail.
func (w *world) join(cloud *sandbox.Cloud, opts sandboxOptions) error {
	w.cloud = cloud
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	w.internet, err = internet.New(internet.Options{
		Lookup: cloud.Lookup, Texts: cloud.TXT, Certificate: cloud.HostCertificate, Dial: w.host.Dial,
		Address: nspawn.Outside, Cache: filepath.Join(cache, "cattle", "packages"), RelayPorts: opts.relayPorts,
		API: cloud,
	})
	if err != nil {
		return err
	}
	w.internet.Registry.Fetch = func(ctx context.Context, ref string) (internet.Artifact, error) { return droplets.FetchImage(ctx, ref) }
	if err := errors.Join(cloud.Trust(w.internet.Roots()), w.host.Trust(bytes.Join([][]byte{cloud.CA(), w.internet.Roots()}, []byte("\n")))); err != nil {
		return err
	}
	l, err := w.host.Listen("tcp", netip.AddrPortFrom(nspawn.Metadata, 80).String())
	if err != nil {
		return err
	}
	w.metadata = &http.Server{Handler: cloud.Metadata(), ReadHeaderTimeout: 10 * time.Second}
	go w.metadata.Serve(l)
	return w.internet.Serve(w.host)
}

// ServeHTTP shows what happened outside, beside the sandbox's own control API:
//
//	GET /_sandbox/mail          what the relay took
//	GET /_sandbox/certificates  what the authority issued
//	GET /_sandbox/pulls         what was pulled from registries
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.Method + " " + r.URL.Path {
	case "GET /_sandbox/mail":
		answer = w.internet.Relay.Messages()
	case "GET /_sandbox/certificates":
		answer = w.internet.ACME.Issued()
	case "GET /_sandbox/pulls":
		answer = w.internet.Registry.Pulls()
	default:
		http.NotFound(rw, r)
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	json.NewEncoder(rw).Encode(answer)
}

// close takes everything away again.
func (w *world) close() error {
	if w == nil {
		return nil
	}
	var errs []error
	errs = append(errs, w.host.Close())
	if w.metadata != nil {
		errs = append(errs, w.metadata.Close())
	}
	if w.internet != nil {
		errs = append(errs, w.internet.Close())
	}
	return errors.Join(errs...)
}
