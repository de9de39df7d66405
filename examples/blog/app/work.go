package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// work counts the words of new posts, every second, until ctx ends.
func work(ctx context.Context, c config, _ io.Writer) error {
	store, err := openStore(ctx, c.file)
	if err != nil {
		return err
	}
	defer store.close()
	slog.Info("working", "release", c.release)
	for {
		n, err := store.countWords(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case n > 0:
			slog.Info("counted the words of posts", "posts", n)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// digest prints the posts of the last seven days, for cron to mail.
func digest(ctx context.Context, c config, out io.Writer) error {
	store, err := openStore(ctx, c.file)
	if err != nil {
		return err
	}
	defer store.close()
	posts, err := store.since(ctx, time.Now().AddDate(0, 0, -7), 1000)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Posts of the last seven days: %d. This is release %s.\n", len(posts), c.release)
	for _, p := range posts {
		words := "not counted yet"
		if p.Words != nil {
			words = fmt.Sprintf("%d words", *p.Words)
		}
		fmt.Fprintf(out, "\n%s  %s (%s)\n", p.Created.Format("Mon 2 Jan"), p.Title, words)
	}
	return nil
}
