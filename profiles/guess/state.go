package guess

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"cattle/profiles"
)

var (
	mysql    = regexp.MustCompile(`(^|/)(mysql|mariadb)([-:@]|$)`)
	postgres = regexp.MustCompile(`(^|/)(postgres|postgis|pgvector)([-:@]|$)`)
	// sqliteFile is the path of an SQLite database in a value of the environment,
	// alone or in an address such as sqlite:////data/blog.db.
	sqliteFile = regexp.MustCompile(`/[A-Za-z0-9_./-]+\.(?:db|sqlite|sqlite3)\b`)
	named      = regexp.MustCompile(`^\$\{?([A-Za-z_][A-Za-z0-9_]*)`)
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)
)

// state writes an entry for each volume that services keep something in. What
// cannot be told, such as a database's name, is left as a comment.
func (s *Sketch) state(p *page) {
	var lines []string
	seen := map[string]bool{}
	for _, service := range s.services() {
		if len(service.Named) > 0 && (mysql.MatchString(service.Image) || postgres.MatchString(service.Image)) {
			lines = append(lines, s.server(service))
			for _, m := range service.Named {
				seen[m.Volume] = true
			}
		}
	}
	for _, service := range s.services() {
		for _, m := range service.Named {
			if !seen[m.Volume] {
				lines = append(lines, s.volume(service, m))
			}
			seen[m.Volume] = true
		}
	}
	if len(lines) == 0 {
		return
	}
	p.line("\n# Data that goes along to each new droplet; a volume that is not here begins empty.")
	head := "state:"
	if !slices.ContainsFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "#") }) {
		head = "# state:"
	}
	p.line("%s\n%s", head, strings.Join(lines, "\n"))
}

// server is the entry of a database server, as its image is told what it has.
func (s *Sketch) server(service profiles.ServiceOutline) string {
	kind, user, database, password := "postgres", "postgres", "", ""
	set := func(names ...string) string {
		for _, name := range names {
			if value := service.Env[name]; value != "" {
				return value
			}
		}
		return ""
	}
	if postgres.MatchString(service.Image) {
		user = cmp.Or(set("POSTGRES_USER"), user)
		database, password = cmp.Or(set("POSTGRES_DB"), user), set("POSTGRES_PASSWORD")
	} else {
		kind, user = "mysql", "root"
		database, password = set("MARIADB_DATABASE", "MYSQL_DATABASE"), set("MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD")
	}
	secret := s.secretIn(password)
	start := ""
	if !plainName.MatchString(user) || !plainName.MatchString(database) || secret == "" {
		start = "# " // not known here: cattle check tells of the volume
		user, database = known(user, "USER"), known(database, "NAME")
		secret = cmp.Or(secret, "NAME")
	}
	return start + "  - name: " + profiles.AppName(service.Name) + "\n" + start +
		"    " + kind + ": {service: " + yamlText(service.Name) + ", database: " + database + ", user: " + user + `, password: "${` + secret + `}"}`
}

func known(value, otherwise string) string {
	if plainName.MatchString(value) {
		return value
	}
	return otherwise
}

// secretIn is the name of the secret that a value refers to, or "".
func (s *Sketch) secretIn(value string) string {
	m := named.FindStringSubmatch(value)
	if m == nil || !slices.ContainsFunc(s.Secrets(), func(v Variable) bool { return v.Name == m[1] }) {
		return ""
	}
	return m[1]
}

// volume is the entry of a volume: an SQLite database where the environment of
// its service names one in it, else files. Files beneath a server that is
// running are nothing to copy, so that these are left to the reader.
func (s *Sketch) volume(service profiles.ServiceOutline, m profiles.NamedMount) string {
	name := "  - name: " + profiles.AppName(m.Volume) + "\n"
	if store.MatchString(service.Image) {
		return "# " + name + "#     files: " + m.Volume + " # if it may be copied while " + service.Name + " runs; a cache needs no entry"
	}
	for _, value := range sortedValues(service.Env) {
		for _, file := range sqliteFile.FindAllString(value, -1) {
			// sqlite:////data/blog.db
			if inside, ok := strings.CutPrefix(path.Clean(file), path.Clean(m.Target)+"/"); ok {
				return name + "    sqlite: " + m.Volume + ":" + inside
			}
		}
	}
	return name + "    files: " + m.Volume
}

func sortedValues(env map[string]string) (out []string) {
	for _, name := range sortedNames(env) {
		out = append(out, env[name])
	}
	return out
}
