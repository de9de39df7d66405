package droplets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A wildcard is proved by TXT records alone, and only the operator may make
// them: the droplet asks the authority, and the operator answers for it. That is
// no verb, as passing challenges on is none.

// wildcardName is what the script below calls itself.
const wildcardName = "cattle-wildcard"

// wildcardScript has certbot ask for one certificate for names. For each
// challenge it prints a line, `LEFT NAME VALUE`, where LEFT counts those to come,
// and waits for the line `ok`. Without an answer, or an operator, certbot is
// ended before the authority looks: it allows five failures an hour. Certbot is
// told to leave the certificate out of its renewals, which nobody could answer.
const wildcardScript = `set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
. /etc/cattle/settings
folder=/run/cattle-wildcard
exec 9>/run/lock/cattle-letsencrypt
flock -w 60 9 || {
	echo 'the droplet is at its certificates already' >&2
	exit 1
}
rm -rf $folder
mkdir -m 700 $folder
mkfifo $folder/asked $folder/answered
exec 3<>$folder/asked 4<>$folder/answered
cat >$folder/hook <<END
echo "\$CERTBOT_REMAINING_CHALLENGES \$CERTBOT_DOMAIN \$CERTBOT_VALIDATION" >$folder/asked
read -r _ <$folder/answered
END
contact=(--register-unsafely-without-email)
[[ -z $ACME_EMAIL ]] || contact=(--email "$ACME_EMAIL")
certbot certonly --non-interactive --agree-tos "${contact[@]}" --server "$ACME_DIRECTORY" \
	--manual --preferred-challenges dns --manual-auth-hook "bash $folder/hook" --no-autorenew \
	--cert-name cattle --renew-with-new-domains --force-renewal --deploy-hook /opt/cattle/nginx-tls \
	"${@/#/--domain=}" </dev/null >&2 3>&- 4>&- 9>&- &
certbot=$!
trap 'kill $certbot 2>/dev/null || true; rm -rf $folder' EXIT
while kill -0 $certbot 2>/dev/null; do
	read -r -t 1 -u 3 asked || continue
	echo "$asked"
	read -r -t 120 answer
	[[ $answer == ok ]]
	echo ok >&4
done
wait $certbot
/opt/cattle/nginx-tls
`

// A Challenge is what an authority wants to see before it issues a certificate:
// a TXT record.
type Challenge struct {
	Record string // its name
	Value  string
	Last   bool // the authority looks as soon as it is answered
}

// challengeRE is a challenge's value: a SHA-256 in base64 for addresses (RFC 8555, 8.4).
var challengeRE = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// maxChallenges is all that a droplet may print of them, in bytes.
const maxChallenges = 64 << 10

// CertifyByDNS has the droplet obtain a certificate for these names and no
// others, wildcards among them, whatever it has already. answer is called for
// each challenge, one after the other: it makes the record, and returns once the
// authority may look. Its error ends the order.
func (m *Machine) CertifyByDNS(ctx context.Context, names []string, answer func(Challenge) error) error {
	answers, in := io.Pipe()
	defer answers.Close()
	words := append([]string{"bash", "-c", wildcardScript, wildcardName}, names...)
	err := m.Command(ctx, words, answers, func(out io.Reader) error {
		// The session ends only after its input has.
		defer in.Close()
		return answerEach(out, in, names, answer)
	})
	var failed *CommandError
	if errors.As(err, &failed) {
		return &VerbError{Verb: "certify", Exit: failed.Exit, Reason: failed.Reason}
	}
	if err != nil {
		return fmt.Errorf("have the droplet ask for a certificate: %w", err)
	}
	return nil
}

func answerEach(out io.Reader, in io.Writer, names []string, answer func(Challenge) error) error {
	bounded := &io.LimitedReader{R: out, N: maxChallenges}
	lines, asked := bufio.NewScanner(bounded), 0
	for lines.Scan() {
		c, err := parseChallenge(lines.Text(), names)
		if asked++; err == nil && asked > len(names) {
			err = errors.New("it asks for more than there are names")
		}
		if err == nil {
			err = answer(c)
		}
		if err == nil {
			_, err = io.WriteString(in, "ok\n")
		}
		if err != nil {
			return err
		}
	}
	if bounded.N <= 0 {
		return fmt.Errorf("it says more than %d bytes", maxChallenges)
	}
	return lines.Err()
}

// parseChallenge reads a line of the script's. The names are those that were
// asked for: no droplet has a record made of another one.
func parseChallenge(line string, names []string) (Challenge, error) {
	field := strings.Fields(line)
	if len(field) != 3 || !challengeRE.MatchString(field[2]) || !slices.ContainsFunc(names, func(n string) bool { return strings.TrimPrefix(n, "*.") == field[1] }) {
		return Challenge{}, fmt.Errorf("the droplet asks for a record that belongs to no challenge: %q", Line(line))
	}
	left, err := strconv.Atoi(field[0])
	return Challenge{Record: "_acme-challenge." + field[1], Value: field[2], Last: left == 0}, err
}
