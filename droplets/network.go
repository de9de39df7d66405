package droplets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/net/proxy"
)

// DialerFromEnvironment connects as the usual variables say: through the
// SOCKS5 proxy of ALL_PROXY but for the hosts of NO_PROXY, directly without
// one. A proxy that it cannot use is an error: passing it by would send traffic
// where it was not meant to go.
func DialerFromEnvironment() (Dialer, error) {
	all := cmp.Or(os.Getenv("ALL_PROXY"), os.Getenv("all_proxy"))
	if u, err := url.Parse(all); all != "" && (err != nil || u.Hostname() == "" || !IsPort(u.Port()) || u.Scheme != "socks5" && u.Scheme != "socks5h") {
		return nil, fmt.Errorf("%s is no SOCKS5 proxy", strconv.QuoteToASCII(all))
	}
	return proxied{proxy.FromEnvironmentUsing(&net.Dialer{Timeout: connectTimeout})}, nil
}

// IsPort tells whether s is the number of a TCP port.
func IsPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

type proxied struct{ proxy.Dialer }

func (p proxied) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d, ok := p.Dialer.(proxy.ContextDialer); ok {
		return d.DialContext(ctx, network, address)
	}
	return p.Dialer.Dial(network, address)
}

// registryTimeout bounds one look at a registry, its token request included.
const registryTimeout = 15 * time.Second

// ResolveImage asks the image's registry for the digest that ref stands for
// now ("sha256:…"), with the credentials of the operator's docker login if
// there are any. A reference that is a digest already is returned as it is.
func ResolveImage(ctx context.Context, dialer Dialer, ref string) (string, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return "", err
	}
	if d, ok := parsed.(name.Digest); ok {
		return d.DigestStr(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	// No proxy of HTTP_PROXY's here: the dialer is the one way out.
	rt := &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true}
	defer rt.CloseIdleConnections()
	desc, err := remote.Head(parsed, remote.WithContext(ctx), remote.WithTransport(rt), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("image %s: %w", ref, err)
	}
	return desc.Digest.String(), nil
}

// ImageMissing tells that the registry answered, and has no such image.
func ImageMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// FetchImage gets an image, or an index of images, from its registry, with the
// credentials of the operator's docker login. Layers are read when they are
// asked for. The way there is that of the environment, HTTP_PROXY included.
func FetchImage(ctx context.Context, ref string) (interface{ RawManifest() ([]byte, error) }, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, err
	}
	desc, err := remote.Get(parsed, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", ref, err)
	}
	if desc.MediaType.IsIndex() {
		return desc.ImageIndex()
	}
	return desc.Image()
}
