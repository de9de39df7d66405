package droplets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// Config says how to reach the API.
type Config struct {
	Token     string
	URL       string       // "" is DigitalOcean's own
	HTTP      *http.Client // its transport carries the requests; nil is http.DefaultTransport
	UserAgent string
}

// requestTimeout bounds one request and its retries. DigitalOcean answers in
// well under a second; the longest honest wait is a burst 429's retry-after.
const requestTimeout = 90 * time.Second

// perPage is the API's largest page; maxPages stops an answer that always
// names a next page, listWithin one whose pages come slowly.
const (
	perPage    = 200
	maxPages   = 50
	listWithin = 3 * time.Minute
)

type digitalOcean struct {
	api   *godo.Client
	clock *clock
}

// Open returns DigitalOcean's API. It makes no request.
func Open(cfg Config) (Cloud, error) {
	base := http.DefaultTransport
	if cfg.HTTP != nil && cfg.HTTP.Transport != nil {
		base = cfg.HTTP.Transport
	}
	transport := &retrying{token: cfg.Token, base: &bounded{base}}
	client := &http.Client{Transport: transport, Timeout: requestTimeout, CheckRedirect: stay}
	opts := []godo.ClientOpt{godo.SetUserAgent(cfg.UserAgent)}
	if cfg.URL != "" {
		opts = append(opts, godo.SetBaseURL(cfg.URL))
	}
	api, err := godo.New(client, opts...)
	if err != nil {
		return nil, fmt.Errorf("the API's address: %w", err)
	}
	return &digitalOcean{api, &transport.clock}, nil
}

// stay follows no redirect: the API has none, and the token would go along.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// wrap turns godo's error into ours. What is no answer of the API stays as it
// is: StatusOf then says 0.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	op := fmt.Sprintf(format, args...)
	var answer *godo.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil {
		return &APIError{Op: op, Status: answer.Response.StatusCode, Message: Line(answer.Message), RequestID: Line(answer.RequestID)}
	}
	return &NoAnswer{op, err}
}

// ended is wrap for deletes, where "not there" is success.
func ended(err error, format string, args ...any) error {
	if err = wrap(err, format, args...); NotFound(err) {
		return nil
	}
	return err
}

// all follows the pages of a list.
func all[T any](ctx context.Context, list func(context.Context, *godo.ListOptions) ([]T, *godo.Response, error)) ([]T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listWithin, fmt.Errorf("the list did not end within %s", listWithin))
	defer cancel()
	var out []T
	for page := 1; page <= maxPages; page++ {
		items, resp, err := list(ctx, &godo.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, orCause(ctx, err)
		}
		out = append(out, items...)
		if len(items) == 0 || resp.Links == nil || resp.Links.IsLastPage() {
			return out, nil
		}
	}
	return nil, fmt.Errorf("the list has more than %d pages", maxPages)
}

func (c *digitalOcean) Now() time.Time { return c.clock.now() }

func (c *digitalOcean) Account(ctx context.Context) (Account, error) {
	a, _, err := c.api.Account.Get(ctx)
	if err = given(a, err); err != nil {
		return Account{}, wrap(err, "read the account")
	}
	return Account{
		Email: Line(a.Email), Status: Line(a.Status), DropletLimit: a.DropletLimit,
		// The older name of the same limit is the one that the API's description has.
		ReservedIPLimit: max(a.ReservedIPLimit, a.FloatingIPLimit),
	}, nil
}

func (c *digitalOcean) CountDroplets(ctx context.Context) (int, error) {
	ds, resp, err := c.api.Droplets.List(ctx, &godo.ListOptions{PerPage: 1})
	if err != nil {
		return 0, wrap(err, "count the account's droplets")
	}
	if resp.Meta != nil {
		return resp.Meta.Total, nil
	}
	return len(ds), nil
}

func (c *digitalOcean) Droplets(ctx context.Context, tag string) ([]Droplet, error) {
	ds, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return c.api.Droplets.ListByTag(ctx, tag, o)
	})
	if err != nil {
		return nil, wrap(err, "list the droplets tagged %s", tag)
	}
	out := make([]Droplet, 0, len(ds))
	for _, d := range ds {
		// What lacks the tag is not ours, whatever list it came in; and what moved
		// from page to page comes twice.
		if !has(d.Tags, tag) || slices.ContainsFunc(out, func(o Droplet) bool { return o.ID == d.ID }) {
			continue
		}
		got, err := fromDroplet(&d)
		if err != nil {
			return nil, wrap(err, "list the droplets tagged %s", tag)
		}
		out = append(out, got)
	}
	return out, nil
}

func (c *digitalOcean) Droplet(ctx context.Context, id int) (Droplet, error) {
	d, _, err := c.api.Droplets.Get(ctx, id)
	if err = given(d, err); err == nil && d.ID != id {
		err = fmt.Errorf("%w: it is about droplet %d", errNonsense, d.ID)
	}
	if err != nil {
		return Droplet{}, wrap(err, "read droplet %d", id)
	}
	return fromDroplet(d)
}

func (c *digitalOcean) Create(ctx context.Context, spec Spec) (Droplet, error) {
	keys := make([]godo.DropletCreateSSHKey, len(spec.SSHKeys))
	for i, id := range spec.SSHKeys {
		keys[i].ID = id
	}
	image := godo.DropletCreateImage{Slug: spec.Image}
	if spec.Snapshot != 0 {
		image = godo.DropletCreateImage{ID: spec.Snapshot}
	}
	d, _, err := c.api.Droplets.Create(ctx, &godo.DropletCreateRequest{
		Name: spec.Name, Region: spec.Region, Size: spec.Size, Image: image, SSHKeys: keys,
		IPv6: spec.IPv6, Monitoring: spec.Monitoring, VPCUUID: strings.ToLower(spec.VPC),
		UserData: string(spec.UserData), Tags: spec.Tags,
	})
	if err = given(d, err); err == nil && !strings.EqualFold(d.Name, spec.Name) {
		err = fmt.Errorf("%w: it is about the droplet %s", errNonsense, Line(d.Name))
	}
	if err != nil {
		return Droplet{}, wrap(err, "create droplet %s", spec.Name)
	}
	made, err := fromDroplet(d)
	return made, wrap(err, "create droplet %s", spec.Name)
}

func (c *digitalOcean) Destroy(ctx context.Context, id int) error {
	_, err := c.api.Droplets.Delete(ctx, id)
	return ended(err, "destroy droplet %d", id)
}

func (c *digitalOcean) Actions(ctx context.Context, id int) ([]Action, error) {
	as, _, err := c.api.Droplets.Actions(ctx, id, &godo.ListOptions{})
	if err != nil {
		return nil, wrap(err, "list the actions of droplet %d", id)
	}
	return fromActions(as), nil
}

func (c *digitalOcean) ReservedIPs(ctx context.Context) ([]ReservedIP, error) {
	ips, err := all(ctx, c.api.ReservedIPs.List)
	if err != nil {
		return nil, wrap(err, "list the reserved IPs")
	}
	out := make([]ReservedIP, len(ips))
	for i := range ips {
		if out[i], err = fromReservedIP(&ips[i]); err != nil {
			return nil, wrap(err, "list the reserved IPs")
		}
	}
	return out, nil
}

func (c *digitalOcean) ReservedIP(ctx context.Context, ip string) (ReservedIP, error) {
	if !isIPv4(ip) {
		return ReservedIP{}, fmt.Errorf("read reserved IP %q: %w", ip, errNoAddress)
	}
	r, _, err := c.api.ReservedIPs.Get(ctx, ip)
	if err = given(r, err); err == nil && r.IP != ip {
		err = fmt.Errorf("%w: it is about %s", errNonsense, Line(r.IP))
	}
	if err != nil {
		return ReservedIP{}, wrap(err, "read reserved IP %s", ip)
	}
	return fromReservedIP(r)
}

func (c *digitalOcean) ReserveIP(ctx context.Context, dropletID int) (ReservedIP, error) {
	r, _, err := c.api.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{DropletID: dropletID})
	if err = given(r, err); err != nil {
		return ReservedIP{}, wrap(err, "make a reserved IP for droplet %d", dropletID)
	}
	made, err := fromReservedIP(r)
	return made, wrap(err, "make a reserved IP for droplet %d", dropletID)
}

func (c *digitalOcean) Assign(ctx context.Context, ip string, dropletID int) error {
	if !isIPv4(ip) {
		return fmt.Errorf("assign %q: %w", ip, errNoAddress)
	}
	_, _, err := c.api.ReservedIPActions.Assign(ctx, ip, dropletID)
	return wrap(err, "assign %s to droplet %d", ip, dropletID)
}

func (c *digitalOcean) ReleaseIP(ctx context.Context, ip string) error {
	if !isIPv4(ip) {
		return fmt.Errorf("give back %q: %w", ip, errNoAddress)
	}
	_, err := c.api.ReservedIPs.Delete(ctx, ip)
	return ended(err, "give back reserved IP %s", ip)
}

func (c *digitalOcean) TagDroplets(ctx context.Context, tag string, ids ...int) error {
	return c.tag(ctx, tag, godo.DropletResourceType, ids)
}

func (c *digitalOcean) tag(ctx context.Context, tag string, kind godo.ResourceType, ids []int) error {
	if !isTag(tag) {
		return fmt.Errorf("tag %ss %v with %q: %w", kind, ids, tag, errNoTag)
	}
	req := &godo.TagResourcesRequest{}
	for _, id := range ids {
		req.Resources = append(req.Resources, godo.Resource{ID: fmt.Sprint(id), Type: kind})
	}
	_, err := c.api.Tags.TagResources(ctx, tag, req)
	if err = wrap(err, "tag %ss %v with %s", kind, ids, tag); !NotFound(err) {
		return err
	}
	// Only creating a droplet makes tags on the fly.
	if _, _, err := c.api.Tags.Create(ctx, &godo.TagCreateRequest{Name: tag}); err != nil {
		return wrap(err, "make the tag %s", tag)
	}
	_, err = c.api.Tags.TagResources(ctx, tag, req)
	return wrap(err, "tag %ss %v with %s", kind, ids, tag)
}

func (c *digitalOcean) DeleteTag(ctx context.Context, tag string) error {
	if !isTag(tag) {
		return fmt.Errorf("delete the tag %q: %w", tag, errNoTag)
	}
	_, err := c.api.Tags.Delete(ctx, tag)
	return ended(err, "delete the tag %s", tag)
}

func (c *digitalOcean) SSHKeys(ctx context.Context) ([]SSHKey, error) {
	ks, err := all(ctx, c.api.Keys.List)
	if err != nil {
		return nil, wrap(err, "list the account's SSH keys")
	}
	out := make([]SSHKey, len(ks))
	for i, k := range ks {
		out[i] = SSHKey{ID: k.ID, Name: Line(k.Name), Fingerprint: Line(k.Fingerprint)}
	}
	return out, nil
}

func (c *digitalOcean) Sizes(ctx context.Context) ([]Size, error) {
	ss, err := all(ctx, c.api.Sizes.List)
	if err != nil {
		return nil, wrap(err, "list the sizes")
	}
	out := make([]Size, len(ss))
	for i, s := range ss {
		out[i] = Size{Slug: Line(s.Slug), Available: s.Available, Regions: lines(s.Regions),
			PriceMonthly: s.PriceMonthly, PriceHourly: s.PriceHourly, MemoryMiB: s.Memory, DiskGiB: s.Disk}
	}
	return out, nil
}

func (c *digitalOcean) Image(ctx context.Context, slug string) (Image, error) {
	i, _, err := c.api.Images.GetBySlug(ctx, slug)
	if err = given(i, err); err != nil {
		return Image{}, wrap(err, "look up the image %s", slug)
	}
	return Image{Slug: Line(i.Slug), Status: Line(i.Status), Regions: lines(i.Regions)}, nil
}
