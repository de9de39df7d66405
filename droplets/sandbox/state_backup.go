package sandbox

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A StateBackup is one of a repository, which is outside of all droplets.
type StateBackup struct {
	ID         string    `json:"id"`
	Repository string    `json:"repository"`
	At         time.Time `json:"at"`
	Release    string    `json:"release"`
	Reason     string    `json:"reason"`
	Rows       []string  `json:"rows"`
}

// repository is where the site's backups are.
func (q *stateCall) repository() (string, error) {
	spec, err := q.spec()
	if err == nil && (spec.Backup == nil || spec.Backup.Repository == "") {
		err = &stateFault{Code: "repository", Side: "new", Message: "the spec has no repository"}
	}
	if err != nil {
		return "", err
	}
	return spec.Backup.Repository, nil
}

func (q *stateCall) backup(reason string) error {
	if !slices.Contains([]string{"scheduled", "release", "discard", "asked"}, reason) {
		return &stateFault{Code: "engine", Side: "old", Message: "no such reason: " + reason}
	}
	b, err := q.keep(reason)
	if err == nil {
		q.say(obj{"id": b.ID, "at_ms": b.At.UnixMilli(), "bytes": sizeOf(b.Rows), "files": 1})
	}
	return err
}

// keep puts the rows into the repository.
func (q *stateCall) keep(reason string) (*StateBackup, error) {
	repository, err := q.repository()
	if err != nil {
		return nil, err
	}
	all := &q.cloud.state.Backups
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", repository, len(*all)))
	b := &StateBackup{ID: fmt.Sprintf("%x", sum[:4]), Repository: repository, At: q.now,
		Release: q.cloud.seed(q.d).manifest.Release, Reason: reason, Rows: slices.Clone(q.cloud.rowsOf(q.d))}
	*all = append(*all, b)
	q.d.Disk.State.Known = true
	q.cloud.touch()
	return b, nil
}

// backupsIn are the backups of a repository, newest first.
func (c *Cloud) backupsIn(repository string) (list []*StateBackup) {
	for _, b := range slices.Backward(c.state.Backups) {
		if b.Repository == repository {
			list = append(list, b)
		}
	}
	return list
}

func (q *stateCall) backups() error {
	repository, err := q.repository()
	if err != nil {
		return err
	}
	list := []obj{}
	for _, b := range q.cloud.backupsIn(repository) {
		list = append(list, obj{"id": b.ID, "at_ms": b.At.UnixMilli(), "release": b.Release, "reason": b.Reason, "bytes": sizeOf(b.Rows)})
	}
	q.say(obj{"backups": list})
	return nil
}

// find is a backup by its id, or the latest: of those that were not made of rows
// that somebody gave up.
func (q *stateCall) find(id string) (*StateBackup, error) {
	repository, err := q.repository()
	if err != nil {
		return nil, err
	}
	for _, b := range q.cloud.backupsIn(repository) {
		if id == "latest" && b.Reason != "discard" || b.ID == id {
			return b, nil
		}
	}
	return nil, &stateFault{Code: "no-backup", Message: "the repository has no backup " + id}
}

// restore takes a backup into a folder, into a droplet that has not served, or
// in the place of what a live one has.
func (q *stateCall) restore() error {
	b, err := q.find(q.args[0])
	if err != nil {
		return err
	}
	s := &q.d.Disk.State
	switch how := strings.Join(q.args[1:], " "); {
	case q.args[1] == "--to" && len(q.args) == 3:
		q.put(within(q.args[2], "rows"), strings.Join(append(slices.Clone(b.Rows), ""), "\n"))
	case how == "--live":
		before, err := q.keep("discard")
		if err != nil {
			return err
		}
		for _, rows := range q.cloud.rowsIn(q.d) {
			*rows = slices.Clone(b.Rows)
		}
		s.Known = true
		q.cloud.touch()
		q.say(obj{"id": b.ID, "at_ms": b.At.UnixMilli(), "before": before.ID})
		return nil
	case how == "--fresh" && s.Ready.IsZero():
		if err := q.missing(); err != nil {
			return err
		}
		for _, rows := range q.cloud.rowsIn(q.d) {
			if rows == &s.Rows || len(*rows) == 0 { // a volume outlived the droplet before
				*rows = slices.Clone(b.Rows)
			}
		}
	case how == "--fresh":
		return &stateFault{Code: "busy", Side: "new", Message: "the app runs"}
	default:
		return &stateFault{Code: "engine", Side: "new", Message: "restore: not known: " + how}
	}
	s.Known = true
	q.cloud.touch()
	q.say(obj{"id": b.ID, "at_ms": b.At.UnixMilli()})
	return nil
}

// put writes a file of the machine's.
func (q *stateCall) put(name, text string) {
	if q.d.Disk.Files == nil {
		q.d.Disk.Files = map[string]keptFile{}
	}
	q.d.Disk.Files[":"+name] = keptFile{Mode: 0o600, Time: q.now, Data: []byte(text)}
}

func (q *stateCall) verify() error {
	b, err := q.find("latest")
	if err != nil {
		return err
	}
	spec, err := q.spec()
	checked := []string{}
	for _, e := range spec.Entries {
		checked = append(checked, e.Name)
	}
	q.say(obj{"id": b.ID, "ok": true, "checked": checked})
	return err
}

// schedule has nothing to switch on: a stub makes no backup by itself.
func (q *stateCall) schedule() error {
	if _, err := q.repository(); err != nil {
		return err
	}
	q.d.Disk.State.Scheduled = true
	q.cloud.touch()
	q.say(obj{"scheduled": true})
	return nil
}

// briefBackup is what status tells of backups, nil where there are none to be.
func (c *Cloud) briefBackup(d *droplet, now time.Time) any {
	q := &stateCall{session: &session{cloud: c}, d: d}
	spec, err := q.spec()
	if err != nil || spec.Backup == nil {
		return nil
	}
	last, id := int64(0), ""
	since := d.CreatedAt
	if all := c.backupsIn(spec.Backup.Repository); len(all) > 0 {
		last, id, since = all[0].At.UnixMilli(), all[0].ID, all[0].At
	}
	overdue := spec.Backup.Overdue > 0 && now.Sub(since) > time.Duration(spec.Backup.Overdue)*time.Second
	return obj{"last_ms": last, "last_id": id, "failed": "", "overdue": overdue}
}
