package profiles

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A stateSpec is what the state engine of a droplet is told. It has names of
// secrets, never a value.
type stateSpec struct {
	Version  int          `json:"version"`
	App      string       `json:"app"`
	Entries  []stateEntry `json:"entries"`
	Services []string     `json:"services"`
	Servers  []string     `json:"servers"`
	Pause    []string     `json:"pause"`
	Migrate  *specMigrate `json:"migrate"`
	Page     string       `json:"page"`
	Timers   []string     `json:"timers"`
	Backup   *specBackup  `json:"backup"`
}

type stateEntry struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Volume    string   `json:"volume,omitempty"` // Docker's own name; of a block storage volume the account's
	Path      *string  `json:"path,omitempty"`   // in the volume, or absolute
	Service   string   `json:"service,omitempty"`
	User      string   `json:"user,omitempty"`
	Password  string   `json:"password,omitempty"`
	Databases []string `json:"databases,omitempty"`
	Services  []string `json:"services,omitempty"` // that use a block storage volume
}

type specMigrate struct {
	Service string   `json:"service"`
	Command []string `json:"command"`
}

type specBackup struct {
	Repository string            `json:"repository"`
	Password   string            `json:"password"`
	Env        map[string]string `json:"env"` // names of secrets
	PlainEnv   map[string]string `json:"plain_env"`
	SSHKey     string            `json:"ssh_key,omitempty"`
	KnownHost  string            `json:"known_host,omitempty"`
	Calendar   []string          `json:"calendar"`
	Keep       specKeep          `json:"keep"`
	Overdue    int               `json:"overdue_s"`
	Host       string            `json:"host"`
	Mail       bool              `json:"mail"`
}

type specKeep struct {
	Last    int `json:"last,omitempty"`
	Daily   int `json:"daily,omitempty"`
	Weekly  int `json:"weekly,omitempty"`
	Monthly int `json:"monthly,omitempty"`
}

// StateSpec is what the state engine of a droplet is told of the data that it
// carries, as JSON; nil where the profile has no state. The same profile and
// stack give the same bytes. It has names of secrets, never a value. For a
// loaded Profile it reads no file.
func (p *Profile) StateSpec(stack *Stack) ([]byte, error) {
	if len(p.State) == 0 {
		return nil, nil
	}
	entries, err := p.stateEntries(stack)
	if err != nil {
		return nil, err
	}
	page, err := p.page()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the page is read by people, too
	err = e.Encode(stateSpec{
		Version: 1, App: p.App, Entries: entries, Services: filled(stack.Services), Servers: filled(p.servers()),
		Pause: filled(p.Release.Pause), Migrate: p.specMigrate(stack), Page: page, Timers: p.timers(), Backup: p.specBackup(),
	})
	return b.Bytes(), err
}

// filled is never nil, which JSON would say as null.
func filled(list []string) []string { return append([]string{}, list...) }

func (p *Profile) stateEntries(stack *Stack) (out []stateEntry, err error) {
	for i, s := range p.State {
		kinds := s.kinds()
		if len(kinds) != 1 {
			return nil, fmt.Errorf("state.%d: it has to say one thing that it carries", i)
		}
		e := stateEntry{Name: s.Name, Kind: kinds[0]}
		switch e.Kind {
		case "sqlite":
			err = e.lies(s.SQLite, stack)
		case "files":
			err = e.lies(s.Files, stack)
		case "mysql":
			e.served(s.MySQL)
		case "postgres":
			e.served(s.Postgres)
		case "volume":
			e.Volume, e.Path, e.Services = s.Volume.Name, &s.Volume.Mount, stack.Users[s.Volume.Mount]
		}
		if err != nil {
			return nil, fmt.Errorf("state.%d: %w", i, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (e *stateEntry) lies(at Place, stack *Stack) error {
	e.Path = &at.Path
	if at.Volume == "" {
		return nil
	}
	if e.Volume = stack.Volumes[at.Volume]; e.Volume == "" {
		return fmt.Errorf("there is no volume %q", at.Volume)
	}
	return nil
}

func (e *stateEntry) served(s *Server) {
	e.Service, e.User, e.Databases, e.Password = s.Service, s.User, s.Databases, nameOf(s.Password)
}

func (p *Profile) page() (string, error) {
	switch {
	case p.Release.FreezePage == "":
		return defaultPage, nil
	case p.freezePage != nil:
		return string(p.freezePage), nil
	}
	text, err := ReadFile(p.Release.FreezePage)
	if err != nil {
		return "", fmt.Errorf("release.freeze_page: %w", err)
	}
	return string(text), nil
}

func (p *Profile) specMigrate(stack *Stack) *specMigrate {
	m := p.Release.Migrate
	if m == nil {
		return nil
	}
	service := m.Service
	if service == "" && len(stack.Services) == 1 {
		service = stack.Services[0]
	}
	return &specMigrate{service, m.Command}
}

// timers are the units of the cron jobs.
func (p *Profile) timers() []string {
	out := []string{}
	for _, job := range p.Cron {
		out = append(out, TimerUnit(job.Name))
	}
	return out
}

// TimerUnit is the name of a cron job's systemd timer.
func TimerUnit(job string) string { return "cattle-cron-" + job + ".timer" }

func (p *Profile) specBackup() *specBackup {
	b := p.Backup
	if b == nil {
		return nil
	}
	out := &specBackup{
		Repository: b.Repository, Password: nameOf(b.Password), Env: map[string]string{}, PlainEnv: map[string]string{},
		SSHKey: nameOf(b.SSHKey), KnownHost: b.KnownHost, Calendar: filled(Cron{Schedule: b.Schedule}.OnCalendar()),
		Keep: specKeep(b.Keep), Overdue: int(b.Overdue.Seconds()), Host: p.App, Mail: p.Mail != nil,
	}
	for name, value := range b.Env {
		if secret := nameOf(value); secret != "" {
			out.Env[name] = secret
		} else {
			out.PlainEnv[name] = value
		}
	}
	return out
}

// nameOf is NAME of ${NAME}, "" of anything else.
func nameOf(reference string) string {
	if m := secretRef.FindStringSubmatch(reference); m != nil {
		return m[1]
	}
	return ""
}
