// Command blog is a small site in one static binary: a web app with an SQLite
// database, a worker beside it, a digest for cron, and a health check for
// images that have no curl.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "blog:", err)
		os.Exit(1)
	}
}

// A config is what the environment says.
type config struct {
	release string // RELEASE; the image has it
	listen  string // LISTEN, default :8000
	file    string // DATABASE, default /data/blog.db
	key     string // SESSION_KEY, a secret: never to be printed
	smtp    string // SMTP_HOST, as host:port; empty sends no mail
	from    string // MAIL_FROM
	to      string // MAIL_TO, the owner
	broken  string // BROKEN, for rehearsals: health, exit or load
}

func configFrom(getenv func(string) string) config {
	or := func(name, otherwise string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	return config{
		release: or("RELEASE", "unreleased"), listen: or("LISTEN", ":8000"), file: or("DATABASE", "/data/blog.db"),
		key: getenv("SESSION_KEY"), smtp: getenv("SMTP_HOST"), from: or("MAIL_FROM", "blog@localhost"), to: or("MAIL_TO", "root@localhost"),
		broken: getenv("BROKEN"),
	}
}

// run is the whole command. What it has to say goes to out, and the log to
// standard error.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	verbs := map[string]func(context.Context, config, io.Writer) error{"serve": serve, "work": work, "digest": digest, "health": health}
	if len(args) != 1 || verbs[args[0]] == nil {
		return errors.New("usage: blog serve|work|digest|health")
	}
	c := configFrom(getenv)
	if c.broken == "exit" {
		return errors.New("told to exit, by BROKEN")
	}
	return verbs[args[0]](ctx, c, out)
}
