package cloudinit

import (
	"fmt"
	"strings"

	"cattle/profiles"
)

// A distribution is what differs between the systems that are rendered for.
type distribution struct {
	docker         []string // packages of Docker and compose v2
	http2Directive bool     // nginx 1.25.1 and later say `http2 on`, older ones `listen … http2`
}

// distributionOf is for images that profiles lets pass: the list is there.
func distributionOf(image string) (distribution, error) {
	family, _ := profiles.ImageFamily(image)
	switch family {
	case "debian-13":
		return distribution{docker: []string{"docker.io", "docker-cli", "docker-compose"}, http2Directive: true}, nil
	case "ubuntu-24-04":
		return distribution{docker: []string{"docker.io", "docker-compose-v2"}}, nil
	}
	return distribution{}, fmt.Errorf("droplet.image: %q is not one of %s", image, strings.Join(profiles.Images(), ", "))
}
