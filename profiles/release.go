package profiles

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

// maxRelease is the longest version string: it has to fit, encoded, into a
// droplet's tag of 255 characters and a host name.
const maxRelease = 64

var (
	releasePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+/-]*$`)
	digestPattern  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	notInTag       = regexp.MustCompile(`[^A-Za-z0-9._-]`)
)

// ValidRelease says why a version string cannot name a release, or nil.
func ValidRelease(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("a release needs a version, such as v1.2.0")
	case len(s) > maxRelease:
		return fmt.Errorf("version %q has %d characters, %d are allowed", s, len(s), maxRelease)
	case !releasePattern.MatchString(s):
		return fmt.Errorf("version %q must begin with a letter or digit and have only letters, digits and . _ + / -", s)
	}
	return nil
}

// imageTag is the release as an image's tag, with - for what a tag cannot
// have, as docker/metadata-action writes it when it pushes the image.
func imageTag(release string) string {
	return notInTag.ReplaceAllString(release, "-")
}

// imageFor is the reference of the profile's image in a release: ${RELEASE}
// resolved, and the release as tag where there is neither tag nor digest.
func imageFor(image, release string) string {
	ref := strings.ReplaceAll(image, "${RELEASE}", imageTag(release))
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || !reference.IsNameOnly(named) {
		return ref
	}
	return ref + ":" + imageTag(release)
}

// pin adds the digest to a reference that has none.
func pin(ref string, pins map[string]string) (string, error) {
	digest, ok := pins[ref]
	if !ok || strings.Contains(ref, "@") {
		return ref, nil
	}
	if !digestPattern.MatchString(digest) {
		return "", fmt.Errorf("the digest of image %q is malformed: %q", ref, digest)
	}
	return ref + "@" + digest, nil
}
