package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// A dialect is what differs between the servers.
type dialect struct {
	driver string
	schema []string
	insert string // of a row; does nothing where it is there
	fill   string // of a block of other rows
}

var dialects = map[string]dialect{
	"sqlite": {"sqlite", []string{
		`CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE)`,
		`CREATE TABLE IF NOT EXISTS bulk (n INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS migrations (counted INTEGER NOT NULL)`},
		`INSERT INTO entries (id) VALUES (?) ON CONFLICT (id) DO NOTHING`,
		`INSERT INTO bulk (body) VALUES (?)`},
	"mysql": {"mysql", []string{
		`CREATE TABLE IF NOT EXISTS entries (seq BIGINT PRIMARY KEY AUTO_INCREMENT, id VARCHAR(64) NOT NULL UNIQUE)`,
		`CREATE TABLE IF NOT EXISTS bulk (n BIGINT PRIMARY KEY AUTO_INCREMENT, body MEDIUMBLOB NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS migrations (counted BIGINT NOT NULL)`},
		`INSERT IGNORE INTO entries (id) VALUES (?)`,
		`INSERT INTO bulk (body) VALUES (?)`},
	"postgres": {"pgx", []string{
		`CREATE TABLE IF NOT EXISTS entries (seq BIGSERIAL PRIMARY KEY, id TEXT NOT NULL UNIQUE)`,
		`CREATE TABLE IF NOT EXISTS bulk (n BIGSERIAL PRIMARY KEY, body BYTEA NOT NULL)`,
		`CREATE TABLE IF NOT EXISTS migrations (counted BIGINT NOT NULL)`},
		`INSERT INTO entries (id) VALUES ($1) ON CONFLICT (id) DO NOTHING`,
		`INSERT INTO bulk (body) VALUES ($1)`},
}

// open takes KIND:SOURCE, as in sqlite:/data/rows.db, and waits for a server
// that is about to answer.
func open(ctx context.Context, at string) (*store, error) {
	kind, source, _ := strings.Cut(at, ":")
	d, known := dialects[kind]
	if !known {
		return nil, fmt.Errorf("DATABASE is %q", at)
	}
	if kind == "sqlite" {
		source = "file:" + source + "?_txlock=immediate&_pragma=busy_timeout(2000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"
	}
	db, err := sql.Open(d.driver, source)
	if err != nil {
		return nil, err
	}
	s := &store{db, d}
	for end := time.Now().Add(time.Minute); ; {
		if err = s.prepare(ctx); err == nil {
			return s, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, errors.Join(err, db.Close())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// prepare makes the tables where there are none: where there are, a database
// that is held for reading alone will do.
func (s *store) prepare(ctx context.Context) error {
	var n int
	if s.QueryRowContext(ctx, `SELECT count(*) FROM migrations`).Scan(&n) == nil {
		return nil
	}
	for _, statement := range s.schema {
		if _, err := s.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
