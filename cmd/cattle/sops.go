package main

import (
	"encoding/hex"
	"net/url"
	"os"

	"cattle/cloudinit"
)

// The variables that name a mirror of sops; both or none.
const (
	sopsURL  = "CATTLE_SOPS_URL"
	sopsHash = "CATTLE_SOPS_SHA256"
)

// sopsFromEnv is where droplets get sops from, for those who keep a mirror:
// the zero Download, which means the project's own release, without one. The
// hash is what the droplet holds the file against.
func sopsFromEnv() (cloudinit.Download, error) {
	d := cloudinit.Download{URL: os.Getenv(sopsURL), SHA256: os.Getenv(sopsHash)}
	hint := "export " + sopsURL + "=https://… and " + sopsHash + "=… (64 hex digits), or unset both"
	if (d.URL == "") != (d.SHA256 == "") {
		return d, &usageError{"a mirror of sops needs both " + sopsURL + " and " + sopsHash, hint}
	}
	if d.URL == "" {
		return d, nil
	}
	if u, err := url.Parse(d.URL); err != nil || u.Scheme != "https" || u.Host == "" {
		return d, &usageError{sopsURL + " is no https address: " + d.URL, hint}
	}
	if sum, err := hex.DecodeString(d.SHA256); err != nil || len(sum) != 32 {
		return d, &usageError{sopsHash + " is no SHA-256 in hex", hint}
	}
	return d, nil
}
