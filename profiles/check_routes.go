package profiles

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var cronName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// routes checks each route against the services that will run. Services are
// nil when the compose files could not be read.
func (c *checker) routes(services map[string]bool) {
	for i, r := range c.p.Routes {
		at := join("routes", itoa(i))
		c.host(join(at, "host"), r.Host)
		c.matches(join(at, "path"), r.Path, pathPattern, "a path", "such as /api")
		c.targets(at, r)
		c.to(join(at, "to"), r.To, services)
		c.matches(join(at, "redirect"), r.Redirect, urlPattern, "an absolute URL", "such as https://www.example.com")
		c.matches(join(at, "static"), r.Static, pathPattern, "an absolute folder on the droplet", "such as /srv/www")
		c.matches(join(at, "body_size"), r.BodySize, sizePattern, "a size", "such as 20m")
		c.named(join(at, "auth"), r.Auth, "users")
		if j := slices.IndexFunc(c.p.Routes, func(o Route) bool { return o.Host == r.Host && o.Path == r.Path }); j < i {
			c.wrong("given-twice", at, "each host and path goes to one place", "%s has the same host and path as routes.%d", at, j)
		}
	}
}

func (c *checker) targets(at string, r Route) {
	given := []string{}
	for name, value := range map[string]string{"to": r.To, "redirect": r.Redirect, "static": r.Static} {
		if value != "" {
			given = append(given, name)
		}
	}
	slices.Sort(given)
	switch {
	case len(given) == 0:
		c.wrong("missing-key", at, "to: web:8000, redirect: https://… or static: /folder", "%s goes nowhere", at)
	case len(given) > 1:
		c.missing("keys-exclude", join(at, given[1]), "keep one of them", "%s has %s: exactly one is allowed", at, listed(given))
	}
}

// to checks service:port or unix:/path.
func (c *checker) to(at, to string, services map[string]bool) {
	if to == "" {
		return
	}
	if socket, ok := strings.CutPrefix(to, "unix:"); ok {
		c.matches(at, socket, pathPattern, "a socket's absolute path", "such as unix:/run/app.sock")
		return
	}
	name, port, ok := splitTarget(to)
	if !ok {
		c.wrong("wrong-form", at, "such as web:8000 or unix:/run/app.sock", "%s is not service:port: %s", at, quote(to))
		return
	}
	c.service(at, name, services, ":"+itoa(port))
}

// service reports a service that is not there.
func (c *checker) service(at, name string, services map[string]bool, suffix string) {
	if services == nil || services[name] {
		return
	}
	names := sortedKeys(services)
	hint := "services are " + listed(names)
	if best, ok := Nearest(name, names); ok {
		hint = "did you mean " + quote(best+suffix) + "?"
	} else if len(names) == 1 {
		hint = "the only service is " + quote(names[0])
	}
	c.wrong("service-unknown", at, hint, "there is no service %s", quote(name))
}

// splitTarget reads service:port.
func splitTarget(to string) (service string, port int, ok bool) {
	service, text, found := strings.Cut(to, ":")
	port, err := strconv.Atoi(text)
	return service, port, found && err == nil && service != "" && port >= 1 && port <= 65535 && text[0] != '+'
}

// cron checks the jobs and fills in their names and services.
func (c *checker) cron(services map[string]bool) {
	seen := map[string]bool{}
	for i := range c.p.Cron {
		job, at := &c.p.Cron[i], join("cron", itoa(i))
		c.schedule(at, job.Schedule)
		if len(job.Command) == 0 {
			c.wrong("missing-key", at, "command: bin/nightly", "%s has no command", at)
		}
		if job.Service == "" && len(services) == 1 {
			job.Service = sortedKeys(services)[0]
		}
		if job.Service == "" && services != nil {
			c.wrong("service-unknown", at, "services are "+listed(sortedKeys(services)), "%s does not say in which service it runs", at)
		} else if job.Service != "" {
			c.service(join(at, "service"), job.Service, services, "")
		}
		c.jobName(at, job, i, seen)
	}
}

func (c *checker) jobName(at string, job *Cron, i int, seen map[string]bool) {
	if job.Name == "" {
		job.Name = cleanName(job.Service + "-" + itoa(i+1))
	}
	c.matches(join(at, "name"), job.Name, cronName, "a name", "lower-case letters, digits and inner hyphens")
	if seen[job.Name] {
		c.wrong("given-twice", join(at, "name"), "give each job its own name", "two jobs are called %s", quote(job.Name))
	}
	seen[job.Name] = true
}

func (c *checker) schedule(at, text string) {
	if text == "" {
		c.wrong("missing-key", at, `schedule: "@daily"`, "%s has no schedule", at)
		return
	}
	if _, err := parseSchedule(text); err != nil {
		c.wrong("wrong-form", join(at, "schedule"), `such as "30 4 * * *" or "@daily", in UTC`, "%s.schedule %s: %s", at, quote(text), err)
	}
}
