package droplets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
// names a next page.
const (
	perPage  = 200
	maxPages = 50
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
	transport := &retrying{token: cfg.Token, base: base}
	client := &http.Client{Transport: transport, Timeout: requestTimeout}
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

// wrap turns godo's error into ours. What is no answer of the API stays as it
// is: StatusOf then says 0.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	op := fmt.Sprintf(format, args...)
	var answer *godo.ErrorResponse
	if errors.As(err, &answer) && answer.Response != nil {
		return &APIError{Op: op, Status: answer.Response.StatusCode, Message: answer.Message, RequestID: answer.RequestID}
	}
	return fmt.Errorf("%s: %w", op, err)
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
	var out []T
	for page := 1; page <= maxPages; page++ {
		items, resp, err := list(ctx, &godo.ListOptions{Page: page, PerPage: perPage})
		if err != nil {
			return nil, err
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
	if err != nil {
		return Account{}, wrap(err, "read the account")
	}
	return Account{
		Email: a.Email, Status: a.Status, DropletLimit: a.DropletLimit,
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
		// An answer is no proof: what lacks the tag is not ours, whatever list it came in.
		if got := fromDroplet(&d); got.Has(tag) {
			out = append(out, got)
		}
	}
	return out, nil
}

func (c *digitalOcean) Droplet(ctx context.Context, id int) (Droplet, error) {
	d, _, err := c.api.Droplets.Get(ctx, id)
	if err != nil {
		return Droplet{}, wrap(err, "read droplet %d", id)
	}
	return fromDroplet(d), nil
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
		IPv6: spec.IPv6, Monitoring: spec.Monitoring, VPCUUID: spec.VPC,
		UserData: string(spec.UserData), Tags: spec.Tags,
	})
	if err != nil {
		return Droplet{}, wrap(err, "create droplet %s", spec.Name)
	}
	return fromDroplet(d), nil
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
	out := make([]Action, len(as))
	for i, a := range as {
		out[i] = Action{Type: a.Type, Status: a.Status}
		if a.StartedAt != nil {
			out[i].Started = a.StartedAt.Time
		}
		if a.CompletedAt != nil {
			out[i].Completed = a.CompletedAt.Time
		}
	}
	return out, nil
}

func (c *digitalOcean) ReservedIPs(ctx context.Context) ([]ReservedIP, error) {
	ips, err := all(ctx, c.api.ReservedIPs.List)
	if err != nil {
		return nil, wrap(err, "list the reserved IPs")
	}
	out := make([]ReservedIP, len(ips))
	for i := range ips {
		out[i] = fromReservedIP(&ips[i])
	}
	return out, nil
}

func (c *digitalOcean) ReservedIP(ctx context.Context, ip string) (ReservedIP, error) {
	r, _, err := c.api.ReservedIPs.Get(ctx, ip)
	if err != nil {
		return ReservedIP{}, wrap(err, "read reserved IP %s", ip)
	}
	return fromReservedIP(r), nil
}

func (c *digitalOcean) ReserveIP(ctx context.Context, dropletID int) (ReservedIP, error) {
	r, _, err := c.api.ReservedIPs.Create(ctx, &godo.ReservedIPCreateRequest{DropletID: dropletID})
	if err != nil {
		return ReservedIP{}, wrap(err, "make a reserved IP for droplet %d", dropletID)
	}
	return fromReservedIP(r), nil
}

func (c *digitalOcean) Assign(ctx context.Context, ip string, dropletID int) error {
	_, _, err := c.api.ReservedIPActions.Assign(ctx, ip, dropletID)
	return wrap(err, "assign %s to droplet %d", ip, dropletID)
}

func (c *digitalOcean) ReleaseIP(ctx context.Context, ip string) error {
	_, err := c.api.ReservedIPs.Delete(ctx, ip)
	return ended(err, "give back reserved IP %s", ip)
}

func (c *digitalOcean) TagDroplets(ctx context.Context, tag string, ids ...int) error {
	return c.tag(ctx, tag, godo.DropletResourceType, ids)
}

func (c *digitalOcean) tag(ctx context.Context, tag string, kind godo.ResourceType, ids []int) error {
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
		out[i] = SSHKey{ID: k.ID, Name: k.Name, Fingerprint: k.Fingerprint}
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
		out[i] = Size{Slug: s.Slug, Available: s.Available, Regions: s.Regions,
			PriceMonthly: s.PriceMonthly, PriceHourly: s.PriceHourly, MemoryMiB: s.Memory, DiskGiB: s.Disk}
	}
	return out, nil
}

func (c *digitalOcean) Image(ctx context.Context, slug string) (Image, error) {
	i, _, err := c.api.Images.GetBySlug(ctx, slug)
	if err != nil {
		return Image{}, wrap(err, "look up the image %s", slug)
	}
	return Image{Slug: i.Slug, Status: i.Status, Regions: i.Regions}, nil
}

func fromDroplet(d *godo.Droplet) Droplet {
	out := Droplet{ID: d.ID, Name: d.Name, Status: d.Status, Locked: d.Locked, Size: d.SizeSlug, Tags: d.Tags, Snapshots: d.SnapshotIDs}
	out.Created, _ = time.Parse(time.RFC3339, d.Created)
	if d.Region != nil {
		out.Region = d.Region.Slug
	}
	if d.Image != nil {
		out.Image = d.Image.Slug
	}
	if d.Size != nil {
		out.PriceMonthly = d.Size.PriceMonthly
	}
	if d.Networks == nil {
		return out
	}
	for _, v4 := range d.Networks.V4 {
		switch v4.Type {
		case "public":
			out.Public = append(out.Public, v4.IPAddress)
		case "private":
			out.Private = v4.IPAddress
		}
	}
	return out
}

func fromReservedIP(r *godo.ReservedIP) ReservedIP {
	out := ReservedIP{IP: r.IP, Locked: r.Locked}
	if r.Region != nil {
		out.Region = r.Region.Slug
	}
	if r.Droplet != nil {
		out.DropletID, out.Droplet = r.Droplet.ID, fromDroplet(r.Droplet)
	}
	return out
}
