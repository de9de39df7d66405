package sandbox

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"path"
	"slices"
	"time"
)

// A pastCertificate is one that certbot has kept in archive/, the newest too.
type pastCertificate struct {
	at  time.Time
	pem []byte
}

// pastCertificates are those of a tar of /etc/letsencrypt, oldest first.
func pastCertificates(tree []byte) (all []pastCertificate) {
	r := tar.NewReader(bytes.NewReader(tree))
	for {
		h, err := r.Next()
		if err != nil {
			slices.SortStableFunc(all, func(a, b pastCertificate) int { return a.at.Compare(b.at) })
			return all
		}
		certificate, _ := path.Match(path.Join(letsencrypt, "archive", lineage, "cert*.pem"), path.Clean(h.Name))
		if !certificate || h.Typeflag != tar.TypeReg || h.Size > maxPEM {
			continue
		}
		if content, err := io.ReadAll(r); err == nil {
			all = append(all, pastCertificate{h.ModTime, content})
		}
	}
}

func (p pastCertificate) names() []string {
	block, _ := pem.Decode(p.pem)
	if block == nil {
		return []string{}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return []string{}
	}
	return slices.Sorted(slices.Values(cert.DNSNames))
}

// viewIssued are the certificates of a week that a machine has a copy of.
func (c *Cloud) viewIssued(d *droplet, now time.Time) []obj {
	out := []obj{}
	for _, p := range pastCertificates(d.Disk.Certificates) {
		if now.Sub(p.at) < perSetSpan {
			out = append(out, obj{"at": p.at.Unix(), "names": p.names()})
		}
	}
	return out
}
