package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // in Go alone, so that the binary is static
)

// A post is one entry of the blog.
type post struct {
	ID      int64     `json:"id"`
	Title   string    `json:"title"`
	Body    string    `json:"body"`
	Created time.Time `json:"created"`
	Words   *int      `json:"words"` // of the body; null until the worker has counted them
}

const schema = `
CREATE TABLE IF NOT EXISTS posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL, created INTEGER NOT NULL, words INTEGER);
CREATE INDEX IF NOT EXISTS uncounted ON posts (id) WHERE words IS NULL;
CREATE TABLE IF NOT EXISTS pulse (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL);`

// A store is the database, which several processes may have open at once.
// Safe for concurrent use.
type store struct{ db, quick *sql.DB } // quick waits for nobody

// openStore makes the database where there is none. Web app and worker start
// together: the first use of write-ahead logging wants the file for itself, and
// fails at once where it is busy, whatever the time-out. So it is tried again.
func openStore(ctx context.Context, file string) (*store, error) {
	db, err := open(file, "busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	quick, err := open(file, "busy_timeout(0)")
	if err != nil {
		db.Close()
		return nil, err
	}
	s := &store{db, quick}
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err = db.ExecContext(ctx, schema); err == nil {
			return s, nil
		}
		if !strings.Contains(err.Error(), "SQLITE_BUSY") || time.Now().After(end) || ctx.Err() != nil {
			s.close()
			return nil, fmt.Errorf("opening %s: %w", file, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func open(file string, more string) (*sql.DB, error) {
	options := url.Values{"_txlock": {"immediate"}, "_pragma": {more, "journal_mode(WAL)", "temp_store(MEMORY)"}}
	return sql.Open("sqlite", "file:"+url.PathEscape(file)+"?"+options.Encode())
}

func (s *store) close() error { return errors.Join(s.quick.Close(), s.db.Close()) }

// add returns when the post is on the disk.
func (s *store) add(ctx context.Context, title, body string) (post, error) {
	p := post{Title: title, Body: body, Created: time.Now().UTC().Truncate(time.Second)}
	done, err := s.db.ExecContext(ctx, `INSERT INTO posts (title, body, created) VALUES (?, ?, ?)`, title, body, p.Created.Unix())
	if err != nil {
		return post{}, err
	}
	p.ID, err = done.LastInsertId()
	return p, err
}

// since lists the posts that are not older, newest first, at most most of them.
func (s *store) since(ctx context.Context, at time.Time, most int) ([]post, error) {
	return s.list(ctx, `SELECT id, title, body, created, words FROM posts WHERE created >= ? ORDER BY id DESC LIMIT ?`, at.Unix(), most)
}

func (s *store) list(ctx context.Context, query string, args ...any) ([]post, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	posts := []post{}
	for rows.Next() {
		var p post
		var created int64
		if err := rows.Scan(&p.ID, &p.Title, &p.Body, &created, &p.Words); err != nil {
			return nil, err
		}
		p.Created = time.Unix(created, 0).UTC()
		posts = append(posts, p)
	}
	return posts, rows.Err()
}

// countWords fills in what posts lack, and says for how many.
func (s *store) countWords(ctx context.Context) (int, error) {
	posts, err := s.list(ctx, `SELECT id, title, body, created, words FROM posts WHERE words IS NULL ORDER BY id LIMIT 100`)
	for i, p := range posts {
		if _, err := s.db.ExecContext(ctx, `UPDATE posts SET words = ? WHERE id = ?`, len(strings.Fields(p.Body)), p.ID); err != nil {
			return i, err
		}
	}
	return len(posts), err
}

// pulse proves that the database can be read and written, which one that is
// only open does not: its disk may be full or gone. Anybody may ask for it, so
// that it takes the lock each time, and writes once a second at most. A database that
// somebody else writes to can be written; and while it is copied to another machine,
// nobody may write, and it is sound.
func (s *store) pulse(ctx context.Context) error {
	_, err := s.quick.ExecContext(ctx, `INSERT INTO pulse (id, at) VALUES (1, ?)
		ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE abs(excluded.at - at) >= 1000`, time.Now().UnixMilli())
	if err != nil && strings.Contains(err.Error(), "SQLITE_BUSY") {
		return nil
	}
	return err
}
