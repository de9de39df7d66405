package sandbox

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

const (
	letsencrypt = "etc/letsencrypt"
	lineage     = "cattle" // certbot's --cert-name
)

// writeTree is /etc/letsencrypt after certbot: live/ has links into archive/,
// where the certificates before this one stay.
func writeTree(before []pastCertificate, cert, chain, key []byte, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(h tar.Header, content []byte) error {
		h.Name, h.Size = path.Join(letsencrypt, h.Name), int64(len(content))
		if h.ModTime.IsZero() {
			h.ModTime = at
		}
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	var err error
	for _, dir := range []string{"", "archive", "archive/" + lineage, "live", "live/" + lineage, "renewal"} {
		if err == nil {
			err = put(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o700}, nil)
		}
	}
	for i, past := range before {
		if err == nil {
			err = put(tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("archive/%s/cert%d.pem", lineage, i+1), Mode: 0o644, ModTime: past.at}, past.pem)
		}
	}
	full, number := append(bytes.Clone(cert), chain...), len(before)+1
	for _, f := range []struct {
		name    string
		mode    int64
		content []byte
	}{{"cert", 0o644, cert}, {"chain", 0o644, chain}, {"fullchain", 0o644, full}, {"privkey", 0o600, key}} {
		if err == nil {
			err = put(tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("archive/%s/%s%d.pem", lineage, f.name, number), Mode: f.mode}, f.content)
		}
		if err == nil {
			link := fmt.Sprintf("../../archive/%s/%s%d.pem", lineage, f.name, number)
			err = put(tar.Header{Typeflag: tar.TypeSymlink, Name: "live/" + lineage + "/" + f.name + ".pem", Linkname: link, Mode: 0o777}, nil)
		}
	}
	if err == nil {
		err = put(tar.Header{Typeflag: tar.TypeReg, Name: "renewal/" + lineage + ".conf", Mode: 0o644}, renewalConf())
	}
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
}

func renewalConf() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version = 4.0.0\narchive_dir = /%s/archive/%s\n", letsencrypt, lineage)
	for _, f := range []string{"cert", "privkey", "chain", "fullchain"} {
		fmt.Fprintf(&b, "%s = /%s/live/%s/%s.pem\n", f, letsencrypt, lineage, f)
	}
	b.WriteString("\n[renewalparams]\nauthenticator = webroot\n")
	return b.Bytes()
}

// emptyTree is the tar of a machine that has no certificate.
func emptyTree() []byte {
	var b bytes.Buffer
	tar.NewWriter(&b).Close()
	return b.Bytes()
}

// parseTree reads a tar of /etc/letsencrypt. One without files has no
// certificate and no fault; one whose links were flattened has what certbot
// says then.
func parseTree(tree []byte) (*tls.Certificate, error) {
	files, links, err := untar(tree)
	if err != nil || len(files)+len(links) == 0 {
		return nil, err
	}
	read := func(name string) ([]byte, error) {
		at := path.Join(letsencrypt, "live", lineage, name+".pem")
		link, ok := links[at]
		if !ok {
			return nil, fmt.Errorf("expected /%s to be a symlink", at)
		}
		target := path.Join(path.Dir(at), link)
		if path.IsAbs(link) {
			target = path.Clean(link)[1:]
		}
		content, ok := files[target]
		if !ok {
			return nil, fmt.Errorf("/%s points to nothing", at)
		}
		return content, nil
	}
	for _, name := range []string{"cert", "chain"} {
		if _, err := read(name); err != nil {
			return nil, err
		}
	}
	cert, err := read("fullchain")
	if err != nil {
		return nil, err
	}
	key, err := read("privkey")
	if err != nil {
		return nil, err
	}
	if _, ok := files[path.Join(letsencrypt, "renewal", lineage+".conf")]; !ok {
		return nil, fmt.Errorf("/%s/renewal/%s.conf is missing", letsencrypt, lineage)
	}
	pair, err := tls.X509KeyPair(cert, key)
	return &pair, err
}

// maxPEM is the largest file of /etc/letsencrypt, in bytes: a chain has some KiB.
const maxPEM = 1 << 20

// untar reads the files and links of a tar that lie in etc/letsencrypt, and
// wants nothing to lie elsewhere.
func untar(b []byte) (files map[string][]byte, links map[string]string, err error) {
	files, links = map[string][]byte{}, map[string]string{}
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files, links, nil
		}
		if err != nil {
			return nil, nil, err
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if name != letsencrypt && !strings.HasPrefix(name, letsencrypt+"/") && h.Typeflag != tar.TypeDir {
			return nil, nil, fmt.Errorf("%s does not belong into %s", h.Name, letsencrypt)
		}
		switch h.Typeflag {
		case tar.TypeReg:
			// A sparse file has no end, in a few bytes.
			if h.Size > maxPEM {
				return nil, nil, fmt.Errorf("%s is larger than %d bytes", h.Name, maxPEM)
			}
			if files[name], err = io.ReadAll(r); err != nil {
				return nil, nil, err
			}
		case tar.TypeSymlink:
			links[name] = h.Linkname
		}
	}
}
