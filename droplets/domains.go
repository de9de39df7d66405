package droplets

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/digitalocean/godo"
)

// DNS is what cattle needs of the account's name servers.
type DNS interface {
	// Zones lists the account's domains with what their zone files say, in one
	// request for all. It gives no ids, and may be some seconds old.
	Zones(ctx context.Context) ([]Zone, error)
	// Records lists the records of a zone that say where a name leads, with
	// their ids.
	Records(ctx context.Context, zone string) ([]Record, error)
	Record(ctx context.Context, zone string, id int) (Record, error)
	// MakeRecord adds a record. Not idempotent: a second one is a twin.
	MakeRecord(ctx context.Context, zone string, r Record) error
	// ChangeRecord replaces the record of r's id.
	ChangeRecord(ctx context.Context, zone string, r Record) error
	// DeleteRecord ends a record; one that is gone already is no error.
	DeleteRecord(ctx context.Context, zone string, id int) error
}

// A Zone is a domain of the account, which holds the records of its names.
type Zone struct {
	Name    string // lower case, no dot at the end
	Records []Record
	// Known tells that Records are all that there are: not every zone file can
	// be read.
	Known bool
}

// A Record says something of a name.
type Record struct {
	ID   int    // 0 in what a zone file says
	Type string // A, AAAA, CNAME or TXT: the others are not read
	Name string // in full, lower case, no dot at the end
	Data string // an address, a name in the form of Name, or a text
	TTL  int    // seconds
}

func (r Record) String() string { return strings.Join([]string{r.Type, r.Name, r.Data}, " ") }

var errNoName = errors.New("that is no domain name")

// nameRE is a domain name as it may stand in a request's path, and an
// underscore, as records have it.
var nameRE = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*$`)

func (c *digitalOcean) Zones(ctx context.Context) ([]Zone, error) {
	ds, err := all(ctx, c.api.Domains.List)
	if err != nil {
		return nil, wrap(err, "list the account's domains")
	}
	var out []Zone
	for _, d := range ds {
		z := Zone{Name: fullName(d.Name)}
		if !nameRE.MatchString(z.Name) {
			continue // a name of another alphabet, or none: no profile has it
		}
		z.Records, z.Known = readZoneFile(d.ZoneFile)
		out = append(out, z)
	}
	return out, nil
}

func (c *digitalOcean) Records(ctx context.Context, zone string) ([]Record, error) {
	if !nameRE.MatchString(zone) {
		return nil, fmt.Errorf("list the records of %q: %w", zone, errNoName)
	}
	rs, err := all(ctx, func(ctx context.Context, o *godo.ListOptions) ([]godo.DomainRecord, *godo.Response, error) {
		return c.api.Domains.Records(ctx, zone, o)
	})
	if err != nil {
		return nil, wrap(err, "list the records of %s", zone)
	}
	var out []Record
	for _, r := range rs {
		if r.ID < 1 {
			return nil, fmt.Errorf("list the records of %s: %w: a record has the id %d", zone, errNonsense, r.ID)
		}
		if leads(r.Type) {
			out = append(out, fromRecord(zone, &r))
		}
	}
	return out, nil
}

func (c *digitalOcean) Record(ctx context.Context, zone string, id int) (Record, error) {
	if !nameRE.MatchString(zone) {
		return Record{}, fmt.Errorf("read record %d of %q: %w", id, zone, errNoName)
	}
	r, _, err := c.api.Domains.Record(ctx, zone, id)
	if err = given(r, err); err == nil && r.ID != id {
		err = fmt.Errorf("%w: it is about record %d", errNonsense, r.ID)
	}
	if err != nil {
		return Record{}, wrap(err, "read record %d of %s", id, zone)
	}
	return fromRecord(zone, r), nil
}

// fromRecord has the name in full: the API's are without the zone.
func fromRecord(zone string, r *godo.DomainRecord) Record {
	name := zone
	if r.Name != "@" && r.Name != "" {
		name = r.Name + "." + zone
	}
	return newRecord(zone, Record{ID: r.ID, Type: Line(r.Type), Name: name, Data: r.Data, TTL: r.TTL})
}

func (c *digitalOcean) MakeRecord(ctx context.Context, zone string, r Record) error {
	req, err := recordRequest(zone, r)
	if err == nil {
		_, _, err = c.api.Domains.CreateRecord(ctx, zone, req)
	}
	return wrap(err, "make the record %s", r)
}

func (c *digitalOcean) ChangeRecord(ctx context.Context, zone string, r Record) error {
	req, err := recordRequest(zone, r)
	if err == nil {
		_, _, err = c.api.Domains.EditRecord(ctx, zone, r.ID, req)
	}
	return wrap(err, "change record %d to %s", r.ID, r)
}

func (c *digitalOcean) DeleteRecord(ctx context.Context, zone string, id int) error {
	if !nameRE.MatchString(zone) {
		return fmt.Errorf("delete record %d of %q: %w", id, zone, errNoName)
	}
	_, err := c.api.Domains.DeleteRecord(ctx, zone, id)
	return ended(err, "delete record %d of %s", id, zone)
}

// recordRequest has the name as the API takes it: without the zone.
func recordRequest(zone string, r Record) (*godo.DomainRecordEditRequest, error) {
	name, inside := strings.CutSuffix("."+r.Name, "."+zone)
	if !nameRE.MatchString(zone) || !nameRE.MatchString(strings.TrimPrefix(r.Name, "*.")) || !inside {
		return nil, fmt.Errorf("%q in the zone %q: %w", r.Name, zone, errNoName)
	}
	if name = strings.TrimPrefix(name, "."); name == "" {
		name = "@"
	}
	return &godo.DomainRecordEditRequest{Type: r.Type, Name: name, Data: r.Data, TTL: r.TTL}, nil
}

// leads tells the types that say where a name leads, and TXT, which has the marks.
func leads(kind string) bool {
	return kind == "A" || kind == "AAAA" || kind == "CNAME" || kind == "TXT"
}

// newRecord writes names in one form, whichever the API has them in: @ is the
// zone, and a name in full may end with a dot.
func newRecord(zone string, r Record) Record {
	r.Name = fullName(r.Name)
	switch {
	case r.Type == "CNAME" && r.Data == "@":
		r.Data = zone
	case r.Type == "CNAME":
		r.Data = fullName(r.Data)
	default:
		r.Data = Line(strings.Trim(r.Data, `"`))
	}
	return r
}

func fullName(s string) string { return strings.ToLower(strings.TrimSuffix(Line(s), ".")) }

// readZoneFile reads the records of a zone file as the API writes it: one a
// line, each name in full ("blog.example.com. 300 IN A 198.51.100.7"). Anything
// else makes the whole file unknown: Records knows then.
func readZoneFile(text string) (out []Record, known bool) {
	for line := range strings.Lines(text) {
		field := strings.Fields(line)
		switch {
		case len(field) == 0 || strings.HasPrefix(line, "$") || len(field) > 2 && field[2] == "SOA":
			continue
		case len(field) < 5 || !strings.HasSuffix(field[0], ".") || field[2] != "IN":
			return nil, false
		}
		ttl, err := strconv.Atoi(field[1])
		if err != nil {
			return nil, false
		}
		if leads(field[3]) {
			out = append(out, newRecord("", Record{Type: field[3], Name: field[0], Data: strings.Join(field[4:], " "), TTL: ttl}))
		}
	}
	return out, text != ""
}
