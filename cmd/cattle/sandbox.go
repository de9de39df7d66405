package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	"cattle/droplets/sandbox/nspawn"
	"cattle/secrets"
)

// sandboxToken is taken by the sandbox. It is no secret: the sandbox listens
// on loopback alone and has nothing that is worth one.
const sandboxToken = "sandbox"

// sandboxGuardToken may move reserved IPs and nothing else, as the token that a
// guarded release hands to a droplet.
const sandboxGuardToken = "sandbox-guard"

// latencies are the paces of a sandbox. "real" has the times that DigitalOcean
// was seen to take (about 30 s to active, 5 s for an assign), and for volumes
// that of the example in its description, 11 s;
// "fast" keeps the order of events at a fifteenth of it.
func latencies() map[string]sandbox.Latency {
	return map[string]sandbox.Latency{
		"none": {},
		"fast": {Call: 10 * time.Millisecond, Active: 2 * time.Second, Boot: 300 * time.Millisecond, Step: 200 * time.Millisecond,
			Assign: 500 * time.Millisecond, Delete: 200 * time.Millisecond, Issue: 300 * time.Millisecond, Attach: 500 * time.Millisecond},
		"real": {Call: 100 * time.Millisecond, Active: 30 * time.Second, Boot: 5 * time.Second, Step: 4 * time.Second,
			Assign: 5 * time.Second, Delete: 2 * time.Second, Issue: 5 * time.Second, Attach: 11 * time.Second},
	}
}

func sandboxCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "sandbox", Usage: "serve DigitalOcean's API on loopback, with machines behind it", OnUsageError: usage,
		Description: "Any DigitalOcean client can be pointed at it; what it prints says how. It runs until it is interrupted.\n\n" +
			"    cattle sandbox\n" +
			"    cattle sandbox --dir /tmp/box --break v1.2.0=never-healthy\n" +
			"    cattle sandbox --machines nspawn  # machines that boot",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "the `FOLDER` that keeps its state", Value: ".cattle-sandbox"},
			&cli.StringFlag{Name: "listen", Usage: "the API's `ADDRESS`", Value: "127.0.0.1:8420"},
			&cli.StringFlag{Name: "socks", Usage: "the `ADDRESS` of the way to the droplets", Value: "127.0.0.1:8421"},
			&cli.StringFlag{Name: "latency", Usage: "none, fast or real", Value: "fast"},
			&cli.StringSliceFlag{Name: "break", Usage: "make a release misbehave: `VERSION=KIND` such as v1.2.0=never-healthy"},
			&cli.StringFlag{Name: "machines", Usage: "stub, or nspawn: machines that really boot (Linux, root)", Value: machinesStub},
			&cli.BoolFlag{Name: "unlimited", Usage: "take any number of calls; else 250 a minute and 5,000 an hour, as DigitalOcean does"},
			&cli.BoolFlag{Name: "nocloud", Usage: "with nspawn: give machines their user-data by a seed folder, not by DigitalOcean's metadata service"},
			imagesFlag(), sopsFlag(),
		},
		Subcommands: []*cli.Command{sandboxCleanCommand(std)},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			if c.String("machines") == machinesNspawn {
				std.remedy.is("cattle sandbox clean")
			}
			s, err := startSandbox(c.Context, sandboxOptions{
				dir: c.String("dir"), listen: c.String("listen"), socks: c.String("socks"), latency: c.String("latency"), broken: c.StringSlice("break"),
				unlimited: c.Bool("unlimited"), machines: c.String("machines"), noCloud: c.Bool("nocloud"), images: c.StringSlice("images"),
				say: func(what string) { fmt.Fprintln(std.err, what) },
			})
			if err != nil {
				return err
			}
			defer s.close()
			if err := s.offer(c.Context, std, c.String("sops")); err != nil {
				return err
			}
			s.describe(std.out)
			return s.wait(c.Context)
		},
	}
}

// What may be behind the API.
const (
	machinesStub   = "stub"
	machinesNspawn = "nspawn"
)

type sandboxOptions struct {
	dir, listen, socks, latency string
	broken                      []string
	unlimited                   bool
	tokens                      map[string][]string // further ones, with their scopes

	machines   string // "" is stub
	noCloud    bool
	images     []string // files of docker save
	relayPorts []int
	quota      int // droplets of the account; 0 is the sandbox's own
	say        func(string)
}

// runningSandbox is a sandbox with its two listeners.
type runningSandbox struct {
	cloud *sandbox.Cloud
	world *world            // nil with stub machines
	env   map[string]string // what points clients at it
	socks string
	dir   string
	api   *http.Server
	errs  chan error
}

// observe is Options.Observe of every sandbox of this process. Tests set it,
// before all else.
var observe func(r *http.Request, body []byte, status int, h http.Header, answer []byte)

func startSandbox(ctx context.Context, opts sandboxOptions) (*runningSandbox, error) {
	latency, ok := latencies()[opts.latency]
	if !ok {
		return nil, &usageError{"there is no latency " + opts.latency, "cattle sandbox --latency none|fast|real"}
	}
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return nil, err
	}
	tokens := map[string][]string{sandboxGuardToken: {"reserved_ip:update"}}
	maps.Copy(tokens, opts.tokens)
	options := sandbox.Options{Dir: dir, Token: sandboxToken, Tokens: tokens,
		Latency: latency, Open: secrets.Open, Unlimited: opts.unlimited, DropletLimit: opts.quota, Observe: observe}
	s := &runningSandbox{dir: dir, errs: make(chan error, 2)}
	switch opts.machines {
	case "", machinesStub:
	case machinesNspawn:
		if s.world, err = bootMachines(ctx, dir, opts); err != nil {
			return nil, err
		}
		options.Machines, options.Internet = s.world.host, nspawn.Outside
	default:
		return nil, &usageError{"there are no machines " + opts.machines, "cattle sandbox --machines stub|nspawn"}
	}
	if err := s.open(ctx, options, opts); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open makes the cloud, and lets clients in.
func (s *runningSandbox) open(ctx context.Context, options sandbox.Options, opts sandboxOptions) (err error) {
	if s.cloud, err = sandbox.New(options); err != nil {
		return err
	}
	for _, b := range opts.broken {
		version, behaviour, err := sandbox.ParseBehaviour(b)
		if err != nil {
			return &usageError{err.Error(), "cattle sandbox --break v1.2.0=never-healthy"}
		}
		s.cloud.Break(version, behaviour)
	}
	if s.world != nil {
		if err := errors.Join(s.world.join(s.cloud, opts), s.world.stock(opts.images)); err != nil {
			return err
		}
	}
	if err := s.listen(opts); err != nil {
		return err
	}
	return s.prepare(ctx)
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
	s.api = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	s.env = map[string]string{
		"DIGITALOCEAN_API_URL":      "http://" + api.Addr().String(),
		"DIGITALOCEAN_ACCESS_TOKEN": sandboxToken,
		"CATTLE_GUARD_TOKEN":        sandboxGuardToken,
		"ALL_PROXY":                 "socks5h://" + s.socks,
		"SSL_CERT_FILE":             s.cloud.CAFile(),
		"NO_PROXY":                  "127.0.0.1,localhost", // the API itself is not behind the proxy
		"CATTLE_SSH_KEY":            filepath.Join(s.dir, "id_ed25519"),
	}
	go func() { s.errs <- s.api.Serve(api) }()
	go func() { s.errs <- s.cloud.ServeSOCKS(socks) }()
	return nil
}

// handler is the API and, with booted machines, a look at what happened outside.
func (s *runningSandbox) handler() http.Handler {
	if s.world == nil {
		return s.cloud
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.cloud)
	for _, path := range []string{"mail", "certificates", "pulls"} {
		mux.Handle("GET /_sandbox/"+path, s.world)
	}
	return mux
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

// prepare gives the account the SSH key that the operator will log in with:
// the one of the folder, where there is one. With booted machines the account
// is new each time, and its folder may not be.
func (s *runningSandbox) prepare(ctx context.Context) error {
	path := s.env["CATTLE_SSH_KEY"]
	public, err := droplets.PublicKey(path)
	if errors.Is(err, os.ErrNotExist) {
		public, err = newOperatorKey(path)
	}
	if err != nil || len(s.cloud.Keys()) > 0 {
		return err
	}
	return s.post(ctx, "/v2/account/keys", map[string]string{"name": "sandbox", "public_key": public})
}

// newOperatorKey makes a key pair and keeps the private half at path.
func newOperatorKey(path string) (public string, err error) {
	key, err := droplets.NewHostKey()
	if err != nil {
		return "", err
	}
	return key.Public, os.WriteFile(path, []byte(key.Private), 0o600)
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

// roots trusts what the sandbox's authorities signed, and nothing else.
func (s *runningSandbox) roots() (*x509.CertPool, error) {
	bundle, err := os.ReadFile(s.cloud.CAFile())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	return pool, nil
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
	if s.cloud == nil {
		return s.world.close()
	}
	return errors.Join(s.cloud.Close(), s.world.close())
}
