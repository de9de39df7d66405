package droplets

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"
)

// A droplet that serves can pass the authority's challenges on to another one,
// so that this obtains its certificate before the names lead to it. That is no
// verb: user-data has no room for what is rarely used, and droplets of older
// versions can do it too.

// challengeName is what the script below calls itself.
const challengeName = "cattle-challenge"

// passScript has nginx ask another droplet for the challenges that it has not
// itself: `on ADDRESS SECONDS`, until `off`. What nginx reads of it is in memory
// and ends with a timer, or with the droplet's next start; for good it gets two
// lines that include what is not there as a rule.
const passScript = `set -euo pipefail
PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
known=/etc/nginx/cattle/well-known.conf folder=/run/cattle-challenge
off() {
	rm -rf $folder
	systemctl reload nginx
}
systemctl stop cattle-challenge.timer 2>/dev/null || true
if [[ $1 == off ]]; then
	off
	exit
fi
grep -q $folder $known || sed -i -e "\|root /var/lib/cattle/acme;|a include $folder/location*.conf;" -e "\$a include $folder/server*.conf;" $known
mkdir -p $folder
echo 'try_files $uri @cattle_challenge;' >$folder/location.conf
printf 'location @cattle_challenge {\n\tproxy_set_header Host $host;\n\tproxy_connect_timeout 5s;\n\tproxy_pass http://%s;\n}\n' "$2" >$folder/server.conf
nginx -t -q || {
	rm -rf $folder
	exit 1
}
systemctl reload nginx
systemd-run --quiet --collect --unit=cattle-challenge --on-active="$3" /bin/bash -c "rm -rf $folder; systemctl reload nginx"
`

// PassChallenges has the droplet pass challenges that are not its own on to
// another one, by its IPv4 address, until StopChallenges or for so long.
// Idempotent.
func (m *Machine) PassChallenges(ctx context.Context, to string, within time.Duration) error {
	address, err := netip.ParseAddr(to)
	if err != nil || !address.Is4() {
		return fmt.Errorf("pass challenges on to %q: %w", Line(to), errNoAddress)
	}
	return m.challenges(ctx, "on", address.String(), strconv.Itoa(int(within.Seconds())))
}

// StopChallenges ends that. Idempotent.
func (m *Machine) StopChallenges(ctx context.Context) error { return m.challenges(ctx, "off") }

func (m *Machine) challenges(ctx context.Context, args ...string) error {
	words := append([]string{"bash", "-c", passScript, challengeName}, args...)
	err := m.Command(ctx, words, nil, func(out io.Reader) error {
		_, err := readAtMost(out, maxStderr)
		return err
	})
	if err != nil {
		return fmt.Errorf("have the droplet pass challenges on: %w", err)
	}
	return nil
}
