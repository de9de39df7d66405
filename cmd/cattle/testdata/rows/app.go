package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	blockSize = 16 << 10 // bytes of a row of the filling
	maxBody   = 1 << 20
)

type app struct {
	store  *store
	folder string
	broken bool
}

func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, serve func(w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				fmt.Fprintln(os.Stderr, r.Method, r.URL.Path, err)
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	handle("POST /rows", a.add)
	handle("GET /rows", a.rows)
	handle("POST /fill", a.fill)
	handle("POST /touch", a.touch)
	handle("POST /files/{name}", a.keep)
	handle("POST /tree", a.tree)
	handle("GET /up", a.up)
	handle("GET /{$}", a.up)
	return http.MaxBytesHandler(mux, maxBody)
}

func (a *app) up(w http.ResponseWriter, r *http.Request) error {
	if a.broken {
		return fmt.Errorf("told to be broken")
	}
	var n int
	return a.store.QueryRowContext(r.Context(), `SELECT count(*) FROM migrations`).Scan(&n)
}

func (a *app) add(w http.ResponseWriter, r *http.Request) error {
	id, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if _, err := a.store.ExecContext(r.Context(), a.store.insert, strings.TrimSpace(string(id))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (a *app) rows(w http.ResponseWriter, r *http.Request) error {
	found, err := a.store.QueryContext(r.Context(), `SELECT id FROM entries ORDER BY seq`)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var id string
		if err := found.Scan(&id); err != nil {
			return err
		}
		fmt.Fprintln(w, id)
	}
	return found.Err()
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}

// fill adds so many MB of what does not compress.
func (a *app) fill(w http.ResponseWriter, r *http.Request) error {
	for left := number(r, "mb") << 20; left > 0; {
		tx, err := a.store.BeginTx(r.Context(), nil)
		if err != nil {
			return err
		}
		for i := 0; i < 256 && left > 0; i, left = i+1, left-blockSize {
			block := make([]byte, blockSize)
			rand.Read(block)
			if _, err := tx.Exec(a.store.fill, block); err != nil {
				tx.Rollback()
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// touch changes one in so many rows of the filling.
func (a *app) touch(w http.ResponseWriter, r *http.Request) error {
	of := number(r, "of")
	if of < 1 {
		return fmt.Errorf("of is missing")
	}
	block := make([]byte, blockSize)
	rand.Read(block)
	statement := strings.Replace(`UPDATE bulk SET body = ? WHERE n % `+strconv.Itoa(of)+` = 0`, "?", map[bool]string{true: "$1", false: "?"}[a.store.driver == "pgx"], 1)
	_, err := a.store.ExecContext(r.Context(), statement, block)
	return err
}

func (a *app) keep(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	name := filepath.Join(a.folder, filepath.Base(r.PathValue("name")))
	if err := os.WriteFile(name+".new", body, 0o640); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// tree makes so many files in folders of a hundred.
func (a *app) tree(w http.ResponseWriter, r *http.Request) error {
	for i := range number(r, "n") {
		dir := filepath.Join(a.folder, fmt.Sprintf("d%04d", i/100))
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%02d", i%100)), []byte(rand.Text()), 0o640); err != nil {
			return err
		}
	}
	return nil
}
