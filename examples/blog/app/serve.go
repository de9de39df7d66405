package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// shortestKey is the length in characters below which a key is none.
const shortestKey = 16

// serve answers visitors until ctx ends, and then those that it has begun to answer.
func serve(ctx context.Context, c config, _ io.Writer) error {
	if len(c.key) < shortestKey {
		return fmt.Errorf("SESSION_KEY is missing, or shorter than %d characters", shortestKey)
	}
	store, err := openStore(ctx, c.file)
	if err != nil {
		return err
	}
	defer store.close()
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	slog.Info("serving", "release", c.release, "address", listener.Addr().String())
	return serveOn(ctx, listener, (&site{config: c, store: store}).handler())
}

func serveOn(ctx context.Context, listener net.Listener, handler http.Handler) error {
	// Idle connections are nginx's to close: it keeps them for a minute.
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second) // Docker kills after 10
	defer cancel()
	return server.Shutdown(rest)
}

// health asks the web app beside it how it is.
func health(ctx context.Context, c config, out io.Writer) error {
	_, port, err := net.SplitHostPort(c.listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/up", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, io.LimitReader(resp.Body, 1000)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
