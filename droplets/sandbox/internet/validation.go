package internet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

const (
	challengePath = "/.well-known/acme-challenge/"
	// As Let's Encrypt's: ten redirects, ten seconds. Its answers are shorter
	// than a hundred bytes; a page in place of one is cut.
	maxRedirects   = 10
	validateWithin = 10 * time.Second
	maxAnswer      = 64 << 10
	// closedPort is for tls-alpn-01, which droplets do not answer.
	closedPort = 1
)

// validation leads Pebble's http-01 requests into the world. Pebble asks a DNS
// server that has one address for every name, and there finds this, which
// reads the Host header and makes the request that Let's Encrypt would make.
// That server has the world's TXT records as they are: they are what dns-01 asks for.
type validation struct {
	names    *names
	dial     dialer
	client   *http.Client
	resolver net.Addr
	requests net.Listener
	stops    []func() error
}

func newValidation(n *names, dial dialer) (*validation, error) {
	v := &validation{names: n, dial: dial}
	v.client = &http.Client{
		Timeout:       validateWithin,
		CheckRedirect: checkRedirect,
		Transport: &http.Transport{
			DialContext:       v.dialName,
			DisableKeepAlives: true, // each challenge on a fresh connection
			// A name that has no certificate yet may still be redirected to HTTPS.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
	}
	queries, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	v.resolver = queries.Addr()
	stop, err := newNames(v.lookup, n.texts, loopback()).serve(queries)
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	v.stops = append(v.stops, stop)
	if v.requests, err = listenLoopback(); err != nil {
		return nil, errors.Join(err, v.close())
	}
	s := &http.Server{Handler: v, ReadHeaderTimeout: validateWithin, ErrorLog: log.New(io.Discard, "", 0)}
	go s.Serve(v.requests)
	v.stops = append(v.stops, s.Close)
	return v, nil
}

// lookup has the names of the world, all at one address.
func (v *validation) lookup(name string) ([]netip.Addr, bool) {
	if len(v.names.addresses(name)) == 0 {
		return nil, true
	}
	return []netip.Addr{loopback()}, true
}

func (v *validation) port() int { return v.requests.Addr().(*net.TCPAddr).Port }

// ServeHTTP makes the request again, in the world, and passes the answer on.
func (v *validation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, challengePath) {
		http.NotFound(w, r)
		return
	}
	status, body, err := v.ask(r.Context(), "http://"+hostOf(r)+r.URL.EscapedPath())
	if err != nil {
		noAnswer(w, err)
		return
	}
	w.WriteHeader(status)
	w.Write(body)
}

func (v *validation) ask(ctx context.Context, url string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)")
	resp, err := v.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	// The real one goes to no other ports.
	if port := req.URL.Port(); port != "" && port != "80" && port != "443" {
		return fmt.Errorf("redirected to port %s, only 80 and 443 are allowed", port)
	}
	return nil
}

func (v *validation) dialName(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs := v.names.addresses(host)
	if ip, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{ip}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("DNS problem: NXDOMAIN looking up A for %s", host)
	}
	return v.dial(ctx, network, net.JoinHostPort(addrs[0].String(), port))
}

// noAnswer tells Pebble why there is none. A sound HTTP answer would be taken
// for the droplet's; a header line that is none (no name of a header begins
// with a bracket) ends up in a problem of type connection, as its detail,
// which is what certbot then shows.
func noAnswer(w http.ResponseWriter, cause error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 502 Bad Gateway\r\n(%s)\r\n\r\n", strings.ReplaceAll(cause.Error(), "\n", " "))
}

func (v *validation) close() error {
	var all error
	for _, stop := range v.stops {
		all = errors.Join(all, stop())
	}
	return all
}
