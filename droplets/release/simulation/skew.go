package simulation

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// A skew is how wrong an operator's clock is. To shift every time that comes
// in and goes out is to him the same as a clock that is wrong: the bubble's own
// cannot be.
type skew struct{ ahead atomic.Int64 } // nanoseconds that his clock is ahead

var (
	stampRE = regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`)
	// Unix times in tags: of a lease, of a standby's end, of a bake.
	unixRE = regexp.MustCompile(`(cattle:(?:release:[A-Za-z0-9_-]+:[0-9a-f]{16}|bake:[0-9a-f]{16}|expires|baked:[0-9a-f]{32}):)(\d{9,12})`)
)

func (s *skew) roundTrip(over http.RoundTripper, r *http.Request) (*http.Response, error) {
	ahead := time.Duration(s.ahead.Load())
	if ahead == 0 {
		return over.RoundTrip(r)
	}
	out, err := shifted(r, ahead)
	if err != nil {
		return nil, err
	}
	resp, err := over.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	// What his clock shows is ahead: to him, the cloud's times lie further back.
	body = shift(body, -ahead)
	resp.Body, resp.ContentLength, resp.Request = io.NopCloser(bytes.NewReader(body)), int64(len(body)), r
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		resp.Header.Set("Date", at.Add(-ahead).UTC().Format(http.TimeFormat))
	}
	return resp, nil
}

// shifted is a request as the cloud gets it: what he calls now is later.
func shifted(r *http.Request, ahead time.Duration) (*http.Request, error) {
	out := r.Clone(r.Context())
	out.URL = &url.URL{}
	*out.URL = *r.URL
	out.URL.Path, out.URL.RawPath = string(shift([]byte(r.URL.Path), ahead)), ""
	if r.Body == nil {
		return out, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body = shift(body, ahead)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return out, nil
}

// shift moves every time in a text.
func shift(text []byte, by time.Duration) []byte {
	text = stampRE.ReplaceAllFunc(text, func(s []byte) []byte {
		at, err := time.Parse(`"`+time.RFC3339+`"`, string(s))
		if err != nil {
			return s
		}
		return []byte(at.Add(by).UTC().Format(`"` + time.RFC3339 + `"`))
	})
	return unixRE.ReplaceAllFunc(text, func(s []byte) []byte {
		m := unixRE.FindSubmatch(s)
		unix, _ := strconv.ParseInt(string(m[2]), 10, 64)
		return fmt.Appendf(nil, "%s%d", m[1], unix+int64(by/time.Second))
	})
}
