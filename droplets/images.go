package droplets

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// imagesScript is on droplets whose images the operator brings: nobody else has
// them. It is no verb, because the others have no room for it.
const imagesScript = "/opt/cattle/images"

// maxBrought bounds the list of brought images, in bytes.
const maxBrought = 64 << 10

// BroughtImages asks which images a droplet was brought, by reference: none,
// where a registry has them all. An id is the SHA-256 of an image's config.
func (m *Machine) BroughtImages(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	err := m.Command(ctx, []string{imagesScript, "list"}, nil, func(out io.Reader) error {
		lines := bufio.NewScanner(io.LimitReader(out, maxBrought))
		for lines.Scan() {
			ref, id, _ := strings.Cut(lines.Text(), " ")
			if digestRE.MatchString(id) && ref == Line(ref) {
				ids[ref] = id
			}
		}
		return lines.Err()
	})
	var failed *CommandError
	if errors.As(err, &failed) && failed.Exit == exitNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the droplet for its images: %w", err)
	}
	return ids, nil
}

// exitNotFound is a shell's exit status for a command that is not there.
const exitNotFound = 127

// LoadImages gives the droplet images as `docker save` writes them, compressed
// or not. It refuses what is not the image that it waits for, and reads nothing
// when it has them all.
func (m *Machine) LoadImages(ctx context.Context, in io.Reader) error {
	return m.Command(ctx, []string{imagesScript, "load"}, in, func(out io.Reader) error {
		_, err := io.CopyN(io.Discard, out, maxStatus)
		if errors.Is(err, io.EOF) {
			return nil
		}
		return errors.Join(errors.New("it goes on and on"), err)
	})
}

// SaveImages writes a droplet's images to to, as LoadImages takes them.
func (m *Machine) SaveImages(ctx context.Context, refs []string, to io.Writer) error {
	return m.Command(ctx, append([]string{imagesScript, "save"}, refs...), nil, func(out io.Reader) error {
		_, err := io.Copy(to, out)
		return err
	})
}
