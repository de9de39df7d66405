package cloudinit

import (
	"fmt"
	"strings"
)

// A distribution is what differs between the systems that are rendered for.
type distribution struct {
	image          string   // prefix of the droplet image's slug
	docker         []string // packages of Docker and compose v2
	http2Directive bool     // nginx 1.25.1 and later say `http2 on`, older ones `listen … http2`
}

func distributionOf(image string) (distribution, error) {
	known := []distribution{
		{image: "debian-13", docker: []string{"docker.io", "docker-cli", "docker-compose"}, http2Directive: true},
		{image: "ubuntu-24-04", docker: []string{"docker.io", "docker-compose-v2"}},
	}
	var names []string
	for _, d := range known {
		if strings.HasPrefix(image, d.image) {
			return d, nil
		}
		names = append(names, d.image+"-x64")
	}
	return distribution{}, fmt.Errorf("droplet.image: %q is not one of %s", image, strings.Join(names, ", "))
}
