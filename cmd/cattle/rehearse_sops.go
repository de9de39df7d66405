package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"cattle/cloudinit"
)

func sopsFlag() cli.Flag {
	return &cli.StringFlag{Name: "sops", Usage: "the sops `BINARY` for machines that boot; default: the one on the PATH, else the pinned release is downloaded"}
}

// offer gives a sandbox's machines what a rehearsal would give them by its
// profile: sops, with the variables that say so to clients, and a relay. Stub
// machines need neither.
func (s *runningSandbox) offer(ctx context.Context, std stdio, binary string) error {
	if s.world == nil {
		return nil
	}
	// It knows no profile, so it knows no login: everybody may send mail.
	s.world.internet.Relay.Open()
	say := func(what string) { fmt.Fprintln(std.err, what) }
	mirror, err := s.world.serveSOPS(ctx, binary, say)
	maps.Copy(s.env, mirror)
	if err != nil && binary == "" {
		say("machines get no sops, and boot no profile with secrets: " + err.Error())
		return nil
	}
	return err
}

// serveSOPS lets machines download sops. A binary other than the pinned one is
// served under its own hash, which the commands are told by the variables that
// name a mirror.
func (w *world) serveSOPS(ctx context.Context, binary string, say func(string)) (map[string]string, error) {
	pin := cloudinit.DefaultSOPS()
	if binary == "" {
		binary, _ = exec.LookPath("sops")
	}
	if binary == "" {
		var err error
		if binary, err = fetchSOPS(ctx, pin, say); err != nil {
			return nil, err
		}
	}
	sum, err := hashFile(binary)
	if err != nil {
		return nil, err
	}
	w.internet.Download(pin.URL, binary)
	if sum == pin.SHA256 {
		return nil, nil
	}
	say("machines get " + binary + " instead of the pinned release of sops, under its own hash")
	return map[string]string{sopsURL: pin.URL, sopsHash: sum}, nil
}

// fetchSOPS downloads the pinned release once, into the user's cache.
func fetchSOPS(ctx context.Context, pin cloudinit.Download, say func(string)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "cattle", "sops-"+pin.SHA256[:12])
	if sum, err := hashFile(path); err == nil && sum == pin.SHA256 {
		return path, nil
	}
	say("downloading sops, once: " + pin.URL)
	hint := "install sops, or name its binary: cattle rehearse --sops FILE"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pin.URL, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", &usageError{"machines need sops, and it cannot be downloaded: " + err.Error(), hint}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", &usageError{"machines need sops, and its download answers " + resp.Status, hint}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	err = replace(path, func(f io.Writer) error {
		sum := sha256.New()
		if _, err := io.Copy(io.MultiWriter(f, sum), resp.Body); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != pin.SHA256 {
			return fmt.Errorf("%s has the SHA-256 %s, not the pinned %s", pin.URL, got, pin.SHA256)
		}
		return nil
	})
	return path, err
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
