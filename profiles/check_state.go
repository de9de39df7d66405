package profiles

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

var (
	entryName = cronName
	// What names a database or a user goes into the arguments of its tools: it
	// must not look like an option.
	databasePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_$.-]{0,62}$`)
)

// state checks each entry, and that no two of them carry the same thing. app is
// nil when the compose files could not be read.
func (c *checker) state(app *composed) {
	for i := range c.p.State {
		at := join("state", itoa(i))
		c.entry(at, &c.p.State[i], app)
		for j, other := range c.p.State[:i] {
			c.apart(at, c.p.State[i], j, other)
		}
	}
	c.unguarded()
	if app != nil && len(c.p.State) == 0 && !c.suppressed("state") {
		c.stateless()
	}
}

func (c *checker) entry(at string, s *State, app *composed) {
	if s.Name == "" {
		c.wrong("missing-key", at, "name: data", "%s has no name", at)
	}
	c.matches(join(at, "name"), s.Name, entryName, "a name", "lower-case letters, digits and inner hyphens")
	switch kinds := s.kinds(); {
	case len(kinds) == 0:
		c.wrong("missing-key", at, "sqlite: data:blog.db, files: uploads, mysql: {…}, postgres: {…} or volume: {…}", "%s does not say what it carries", at)
	case len(kinds) > 1:
		c.missing("keys-exclude", join(at, kinds[1]), "make two entries of them", "%s has %s: exactly one is allowed", at, listed(kinds))
	}
	c.inPlace(join(at, "sqlite"), s.SQLite, app)
	c.inPlace(join(at, "files"), s.Files, app)
	if s.SQLite.Volume != "" && s.SQLite.Path == "" {
		c.wrong("wrong-form", join(at, "sqlite"), "such as "+s.SQLite.Volume+":blog.db", "%s.sqlite names a volume, and no file in it", at)
	}
	c.server(join(at, "mysql"), s.MySQL, "root", app)
	c.server(join(at, "postgres"), s.Postgres, "postgres", app)
	c.block(join(at, "volume"), s, app)
}

// kinds are the keys that say what an entry carries, of which it has one.
func (s State) kinds() (out []string) {
	for _, kind := range []struct {
		key   string
		given bool
	}{{"sqlite", s.SQLite != Place{}}, {"files", s.Files != Place{}}, {"mysql", s.MySQL != nil}, {"postgres", s.Postgres != nil}, {"volume", s.Volume != nil}} {
		if kind.given {
			out = append(out, kind.key)
		}
	}
	return out
}

// ownFolders are not the app's: cattle or the system makes them anew on each
// droplet, or carries them by itself, as it does with certificates.
var ownFolders = []string{"/boot", "/dev", "/etc/cattle", "/etc/letsencrypt", "/etc/nginx", "/opt/cattle", "/proc", "/run", "/sys", "/usr",
	"/var/lib/cattle", "/var/lib/docker", "/var/run"}

func (c *checker) inPlace(at string, p Place, app *composed) {
	switch {
	case p == Place{}:
	case p.Volume == "":
		i := slices.IndexFunc(ownFolders, func(own string) bool { return overlap(own, p.Path) })
		if i >= 0 {
			c.wrong("wrong-form", at, "a folder of the app's own, such as /srv/uploads, or a volume by its name", "%s: %s is not the app's: %s is the droplet's own", at, quote(p.Path), ownFolders[i])
		}
	case app != nil:
		c.volume(at, p.Volume, app)
		c.beneathServer(at, p.Volume, app)
	}
}

// beneathServer reports files that a server keeps its databases in: copied
// beside it they are no database.
func (c *checker) beneathServer(at, volume string, app *composed) {
	for _, name := range c.p.servers() {
		for _, v := range app.project.Services[name].Volumes {
			ofServer := strings.HasPrefix(v.Target, "/var/lib/mysql") || strings.HasPrefix(v.Target, "/var/lib/postgresql")
			if v.Source == volume && ofServer {
				c.wrong("state-overlaps", at, "remove this entry: the one of the server carries its databases", "service %s keeps its databases in %s", quote(name), quote(volume))
			}
		}
	}
}

// volume reports one that no compose file has.
func (c *checker) volume(at, name string, app *composed) {
	if _, ok := app.project.Volumes[name]; ok {
		return
	}
	names := sortedKeys(app.project.Volumes)
	hint := didYouMean(name, names)
	switch {
	case hint != "":
	case len(names) > 0:
		hint = "volumes are " + listed(names)
	case len(c.p.Compose) == 0:
		hint = "an app of one container has none: name the image in a compose file, with the volumes that it mounts"
	default:
		hint = "volumes: {" + name + ": {}} in the compose file, and mount it"
	}
	c.wrong("volume-unknown", at, hint, "there is no volume %s in the compose files", quote(name))
}

func (c *checker) server(at string, s *Server, user string, app *composed) {
	if s == nil {
		return
	}
	setDefault(&s.User, user)
	switch {
	case s.Service == "":
		c.wrong("missing-key", at, "service: db", "%s does not say in which service the server runs", at)
	case app != nil:
		c.service(join(at, "service"), s.Service, app.active(), "")
	}
	if len(s.Databases) == 0 {
		c.wrong("missing-key", at, "database: "+cmp.Or(c.p.App, "blog"), "%s names no database", at)
	}
	for i, name := range s.Databases {
		c.matches(join(at, "database."+itoa(i)), name, databasePattern, "a database's name", "letters, digits and _")
		if name == "" || slices.Index(s.Databases, name) < i {
			c.wrong("given-twice", join(at, "database."+itoa(i)), "name each database once", "%s.database has %s twice", at, quote(name))
		}
	}
	c.matches(join(at, "user"), s.User, databasePattern, "a user's name", "such as "+user)
	c.named(join(at, "password"), s.Password, "a password")
}

// apart reports two entries that would carry the same thing twice.
func (c *checker) apart(at string, s State, j int, other State) {
	if s.Name != "" && s.Name == other.Name {
		c.wrong("given-twice", join(at, "name"), "give each entry its own name", "two entries of state are called %s", quote(s.Name))
	}
	place, theirs := s.place(), other.place()
	if place != (Place{}) && theirs != (Place{}) && place.Volume == theirs.Volume && overlap(place.Path, theirs.Path) {
		c.wrong("state-overlaps", at, "keep one of them, or name places beside each other",
			"%s is in state.%d as well: %s and %s", at, j, quote(place.String()), quote(theirs.String()))
	}
	if a, b := s.Volume, other.Volume; a != nil && b != nil && a.Name != "" && a.Name == b.Name {
		c.wrong("given-twice", join(at, "volume.name"), "a volume is mounted in one place: keep one of them", "state.%d is of the volume %s as well", j, quote(a.Name))
	}
	for _, pair := range [][2]*Server{{s.MySQL, other.MySQL}, {s.Postgres, other.Postgres}} {
		if a, b := pair[0], pair[1]; a != nil && b != nil && a.Service == b.Service {
			c.wrong("state-overlaps", at, "make one entry of them: database: "+bracketed(slices.Concat(b.Databases, a.Databases)),
				"%s is the server of state.%d as well", at, j)
		}
	}
}

// bracketed is a list of different words as YAML has it.
func bracketed(words []string) string {
	slices.Sort(words)
	return "[" + strings.Join(slices.Compact(words), ", ") + "]"
}

// overlap says whether one path is in the other or the same; "" is the whole
// of a volume.
func overlap(a, b string) bool {
	return a == "" || b == "" || a == "/" || b == "/" || a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// stateless reports what has no meaning where nothing is carried.
func (c *checker) stateless() {
	const hint = "state: [{name: data, files: data}]"
	for _, key := range []string{"release.pause", "release.migrate", "release.freeze_page", "backup"} {
		if c.given(key) {
			c.missing("missing-key", key, hint, "%s is of use with state alone, and there is none", key)
		}
	}
}
