package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/sandbox"
	"cattle/secrets"
)

// sandboxToken is taken by the sandbox. It is no secret: the sandbox listens
// on loopback alone and has nothing that is worth one.
const sandboxToken = "sandbox"

// latencies are the paces of a sandbox. "real" has the times that DigitalOcean
// was seen to take (about 30 s to active, 5 s for an assign);
// "fast" keeps the order of events at a fifteenth of it.
func latencies() map[string]sandbox.Latency {
	return map[string]sandbox.Latency{
		"none": {},
		"fast": {Call: 10 * time.Millisecond, Active: 2 * time.Second, Boot: 300 * time.Millisecond, Step: 200 * time.Millisecond,
			Assign: 500 * time.Millisecond, Delete: 200 * time.Millisecond, Issue: 300 * time.Millisecond},
		"real": {Call: 100 * time.Millisecond, Active: 30 * time.Second, Boot: 5 * time.Second, Step: 4 * time.Second,
			Assign: 5 * time.Second, Delete: 2 * time.Second, Issue: 5 * time.Second},
	}
}

func sandboxCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "sandbox", Usage: "serve DigitalOcean's API on loopback, with machines behind it", OnUsageError: usage,
		Description: "Any DigitalOcean client can be pointed at it; what it prints says how. It runs until it is interrupted.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "the `FOLDER` that keeps its state", Value: ".cattle-sandbox"},
			&cli.StringFlag{Name: "listen", Usage: "the API's `ADDRESS`", Value: "127.0.0.1:8420"},
			&cli.StringFlag{Name: "socks", Usage: "the `ADDRESS` of the way to the droplets", Value: "127.0.0.1:8421"},
			&cli.StringFlag{Name: "latency", Usage: "none, fast or real", Value: "fast"},
			&cli.StringSliceFlag{Name: "break", Usage: "make a release misbehave: `VERSION=KIND` such as v1.2.0=never-healthy"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			s, err := startSandbox(c.Context, sandboxOptions{
				dir: c.String("dir"), listen: c.String("listen"), socks: c.String("socks"), latency: c.String("latency"), broken: c.StringSlice("break"),
			})
			if err != nil {
				return err
			}
			defer s.close()
			s.describe(std.out)
			return s.wait(c.Context)
		},
	}
}

type sandboxOptions struct {
	dir, listen, socks, latency string
	broken                      []string
}

// runningSandbox is a sandbox with its two listeners.
type runningSandbox struct {
	cloud *sandbox.Cloud
	env   map[string]string // what points clients at it
	socks string
	dir   string
	api   *http.Server
	errs  chan error
}

func startSandbox(ctx context.Context, opts sandboxOptions) (*runningSandbox, error) {
	latency, ok := latencies()[opts.latency]
	if !ok {
		return nil, &usageError{"there is no latency " + opts.latency, "cattle sandbox --latency none|fast|real"}
	}
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return nil, err
	}
	cloud, err := sandbox.New(sandbox.Options{Dir: dir, Token: sandboxToken, Latency: latency, Open: secrets.Open})
	if err != nil {
		return nil, err
	}
	for _, b := range opts.broken {
		version, behaviour, err := sandbox.ParseBehaviour(b)
		if err != nil {
			return nil, &usageError{err.Error(), "cattle sandbox --break v1.2.0=never-healthy"}
		}
		cloud.Break(version, behaviour)
	}
	s := &runningSandbox{cloud: cloud, dir: dir, errs: make(chan error, 2)}
	if err := s.listen(opts); err != nil {
		s.close()
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *runningSandbox) listen(opts sandboxOptions) error {
	if err := loopback(opts.listen, opts.socks); err != nil {
		return err
	}
	api, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return fmt.Errorf("the sandbox's API: %w", err)
	}
	socks, err := net.Listen("tcp", opts.socks)
	if err != nil {
		api.Close()
		return fmt.Errorf("the sandbox's network: %w", err)
	}
	s.socks = socks.Addr().String()
	s.api = &http.Server{Handler: s.cloud, ReadHeaderTimeout: 10 * time.Second}
	s.env = map[string]string{
		"DIGITALOCEAN_API_URL":      "http://" + api.Addr().String(),
		"DIGITALOCEAN_ACCESS_TOKEN": sandboxToken,
		"ALL_PROXY":                 "socks5h://" + s.socks,
		"SSL_CERT_FILE":             s.cloud.CAFile(),
		"NO_PROXY":                  "127.0.0.1,localhost", // the API itself is not behind the proxy
		"CATTLE_SSH_KEY":            filepath.Join(s.dir, "id_ed25519"),
	}
	go func() { s.errs <- s.api.Serve(api) }()
	go func() { s.errs <- s.cloud.ServeSOCKS(socks) }()
	return nil
}

// loopback holds the sandbox to this machine: everybody knows its token.
func loopback(addresses ...string) error {
	for _, a := range addresses {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return &usageError{a + " is no address of this machine alone", "cattle sandbox --listen 127.0.0.1:8420 --socks 127.0.0.1:8421"}
		}
	}
	return nil
}

// prepare gives the account the SSH key that the operator will log in with.
func (s *runningSandbox) prepare(ctx context.Context) error {
	path := s.env["CATTLE_SSH_KEY"]
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key, err := droplets.NewHostKey()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(key.Private), 0o600); err != nil {
		return err
	}
	return s.post(ctx, "/v2/account/keys", map[string]string{"name": "sandbox", "public_key": key.Public})
}

// post calls the sandbox's API as any client would.
func (s *runningSandbox) post(ctx context.Context, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.env["DIGITALOCEAN_API_URL"]+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+sandboxToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("the sandbox answered %s to %s: %s", resp.Status, path, answer)
	}
	return nil
}

// describe prints what points a client at the sandbox, ready for eval.
func (s *runningSandbox) describe(w io.Writer) {
	var names []string
	for name := range s.env {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("# a DigitalOcean of your own; put this into the shell that runs cattle, doctl or curl:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "export %s=%q\n", name, s.env[name])
	}
	io.WriteString(w, b.String())
}

// roots trusts what the sandbox's authority signed, and nothing else.
func (s *runningSandbox) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.cloud.CA())
	return pool
}

func (s *runningSandbox) wait(ctx context.Context) error {
	select {
	case err := <-s.errs:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *runningSandbox) close() error {
	if s.api != nil {
		s.api.Close()
	}
	return s.cloud.Close()
}
