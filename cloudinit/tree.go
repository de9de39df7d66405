package cloudinit

import (
	"bytes"
	"embed"
	"io/fs"
	"slices"
	"strings"
	"text/template"
)

//go:embed all:templates
var templates embed.FS // read-only

// A TakenError is a file of the profile at a path that cattle writes itself.
type TakenError struct{ Path string }

func (e *TakenError) Error() string {
	return "files: " + e.Path + " is there already: cattle writes it"
}

// tree makes all files of the droplet, by path.
func tree(in Input) ([]File, error) {
	v, err := newView(in)
	if err != nil {
		return nil, err
	}
	var files []File
	sources := []func(*view) ([]File, error){fromTemplates, sites, cronUnits, data, userFiles}
	if v.Bake {
		sources = []func(*view) ([]File, error){fromTemplates, data}
	}
	for _, source := range sources {
		more, err := source(v)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := 1; i < len(files); i++ {
		if files[i].Path == files[i-1].Path {
			return nil, &TakenError{files[i].Path}
		}
	}
	if v.Bake {
		return append(files, writtenList(files)), nil
	}
	return files, nil
}

// fromTemplates are the files that exist once on a droplet.
func fromTemplates(v *view) ([]File, error) {
	var files []File
	err := fs.WalkDir(templates, "templates", func(name string, entry fs.DirEntry, err error) error {
		path := strings.TrimSuffix(strings.TrimPrefix(name, "templates"), ".tmpl")
		if err != nil || entry.IsDir() || !v.wants(path) {
			return err
		}
		content, err := fill(name, v)
		if err != nil {
			return err
		}
		if strings.HasPrefix(path, "/opt/cattle/") {
			content = withoutComments(content)
		}
		files = append(files, File{Path: path, Mode: mode(path), Owner: "root:root", Content: content})
		return nil
	})
	return files, err
}

// withoutComments takes the comment lines out of a script: whoever reads it
// does so here, and they would be a fifth of user-data. What an interpreter is
// named by, #!, is none.
func withoutComments(script []byte) []byte {
	return slices.Concat(slices.DeleteFunc(slices.Collect(bytes.Lines(script)), func(line []byte) bool {
		return bytes.HasPrefix(bytes.TrimLeft(line, "\t "), []byte("# "))
	})...)
}

// wants leaves out what this droplet has no use for, and templates of which it
// has several.
func (v *view) wants(path string) bool {
	switch {
	case strings.HasSuffix(path, "/site.conf"), strings.Contains(path, "/cattle-cron."):
		return false
	case v.Bake && notBaked(path), !v.Bake && bakeOnly(path):
		return false
	case strings.HasPrefix(path, "/etc/postfix/"), path == "/etc/aliases", strings.HasPrefix(path, "/etc/systemd/system/postfix"):
		return v.Mail
	case path == "/opt/cattle/mail":
		return v.Mail && !v.Bake
	case slices.Contains([]string{"/opt/cattle/unseal", "/opt/cattle/redact", "/opt/cattle/with-secrets",
		"/etc/systemd/system/cattle-secrets.service"}, path):
		return v.Secrets
	case path == "/opt/cattle/traffic":
		return v.in.Profile.Release.Bake > 0 && !v.Bake
	case path == "/opt/cattle/guard":
		return v.in.Profile.Release.Guard && !v.Bake
	case path == "/opt/cattle/images":
		return len(v.Brought) > 0
	case path == "/opt/cattle/cron":
		return len(v.Timers) > 0
	}
	return true
}

// mode is as narrow as can be: scripts run, settings are root's, and what the
// services of other users read is open.
func mode(path string) uint32 {
	switch {
	case path == "/opt/cattle/scheduler", path == "/opt/cattle/bake":
		return 0o644
	case strings.HasPrefix(path, "/opt/cattle/"):
		return 0o755
	case strings.HasPrefix(path, "/etc/cattle/"), strings.HasPrefix(path, "/etc/ssh/"):
		return 0o600
	}
	return 0o644
}

// fill gives a template its values; files that are none pass through.
func fill(name string, values any) ([]byte, error) {
	text, err := templates.ReadFile(name)
	if err != nil || !strings.HasSuffix(name, ".tmpl") {
		return text, err
	}
	t, err := template.New(name).Funcs(quoting()).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, values); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
