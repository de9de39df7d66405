// Command rows is an app that keeps what it acknowledges: numbered rows in
// SQLite, MariaDB or PostgreSQL, and files. Tests of data on booted machines
// release it; it is as small as such an app can be.
//
//	POST /rows          a row's id; 201 once it is on the disk, also the second time
//	GET  /rows          all ids in the order of their rows, a line each
//	POST /fill?mb=N     N MB of other rows
//	POST /touch?of=N    changes one in N of them
//	POST /files/NAME    keeps the body as a file
//	POST /tree?n=N      N small files
//	GET  /up            whether the database can be read
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rows:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	db, err := open(ctx, os.Getenv("DATABASE"))
	if err != nil {
		return err
	}
	defer db.Close()
	if len(args) > 0 && args[0] == "migrate" {
		return migrate(ctx, db)
	}
	a := &app{store: db, folder: "/uploads", broken: os.Getenv("BROKEN") != ""}
	server := &http.Server{Addr: ":8000", Handler: a.handler()}
	go func() {
		<-ctx.Done()
		within, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Shutdown(within)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// migrate leaves a mark that a test looks for: that it ran, and on which rows.
func migrate(ctx context.Context, db *store) error {
	var n int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM entries`).Scan(&n); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `INSERT INTO migrations (counted) VALUES (`+fmt.Sprint(n)+`)`)
	return err
}

// A store is the database behind one of three drivers.
type store struct {
	*sql.DB
	dialect
}
