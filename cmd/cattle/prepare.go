package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"cattle/cloudinit"
	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/profiles"
	"cattle/secrets"
)

// prepared is a release that is ready to be planned.
type prepared struct {
	site      release.Site
	world     *release.World
	userData  *cloudinit.UserData
	candidate *release.Candidate
	pins      map[string]string // image reference to digest
	images    *release.Images   // that are brought; nil: none
	unbuilt   []string          // references that a plan would have built
	notices   []string
	// carriedLast is how many bytes of data the live droplet was given; 0: none, or not known.
	carriedLast int64
}

// prepare surveys the cloud, asks the registries for the images' digests and
// seals the secrets, all at the same time, and renders what came of it.
// opts.pins are digests that are known already: those of a rebuild.
func prepare(ctx context.Context, o *release.Operator, p *profiles.Profile, id *identity, opts releaseOptions) (*prepared, error) {
	version := opts.version
	stack, err := p.Stack(ctx, version, nil)
	if err != nil {
		return nil, err
	}
	out := &prepared{site: siteOf(p, stack.Services)}
	var sealed *cloudinit.Sealed
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		out.world, err = o.SurveyRelease(gctx, out.site)
		if err != nil {
			return err
		}
		return out.findImages(gctx, o, p, stack.Images, opts)
	})
	g.Go(func() (err error) {
		sealed, err = seal(p, id)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if out.userData, err = renderUserData(ctx, p, version, id, sealed, out.pins, out.broughtIDs()); err != nil {
		return nil, err
	}
	out.candidate = &release.Candidate{
		Release: version, Attempt: id.attempt, Digest: out.userData.Digest(),
		HostKey: id.hostKey.Fingerprint, UserData: out.userData.Bytes(), Images: out.images,
	}
	var names []string
	if sealed != nil {
		names = sealed.Names
		if p.Secrets.Deliver != profiles.DeliverUserData {
			out.candidate.Key = id.age.Key
		}
	}
	if out.candidate.State, err = kitOf(p, stack); err != nil {
		return nil, err
	}
	out.candidate.Manifest, err = manifestOf(p, out, names)
	return out, err
}

// findImages finds what each image reference stands for: what is brought by its
// id, what a registry has by its digest. What is only planned to be built is
// asked of nobody.
func (ready *prepared) findImages(ctx context.Context, o *release.Operator, p *profiles.Profile, refs []string, opts releaseOptions) (err error) {
	if ready.images, err = broughtTo(ctx, o, ready.world, p, refs, opts); err != nil {
		return err
	}
	known := opts.pins
	if b := opts.built; b != nil {
		known = func(context.Context, *release.World) (map[string]string, error) { return b.digests, nil }
		if b.planned {
			ready.unbuilt = b.refs()
		}
	}
	asked := slices.DeleteFunc(slices.Clone(refs), func(ref string) bool {
		return ready.broughtIDs()[ref] != "" || slices.Contains(ready.unbuilt, ref)
	})
	ready.pins, ready.notices, err = pins(ctx, o, ready.world, asked, known)
	return err
}

// broughtIDs are the ids of the images that are brought, by reference.
func (ready *prepared) broughtIDs() map[string]string {
	if ready.images == nil {
		return nil
	}
	return ready.images.IDs
}

func seal(p *profiles.Profile, id *identity) (*cloudinit.Sealed, error) {
	if p.Secrets.File == "" {
		return nil, nil
	}
	f, err := secrets.Read(p.Secrets.File)
	if err != nil {
		return nil, err
	}
	sealed, err := id.seal(f)
	if err != nil {
		return nil, err
	}
	return &cloudinit.Sealed{Bytes: sealed, Format: string(f.Format), Names: f.Names, Identity: id.age.Key.Reveal()}, nil
}

func renderUserData(ctx context.Context, p *profiles.Profile, version string, id *identity, sealed *cloudinit.Sealed, pins, brought map[string]string) (*cloudinit.UserData, error) {
	stack, err := p.Stack(ctx, version, pins, slices.Collect(maps.Keys(brought))...)
	if err != nil {
		return nil, err
	}
	sops, err := sopsFromEnv()
	if err != nil {
		return nil, err
	}
	return renderInput(p, cloudinit.Input{
		Profile: p, Stack: stack, Release: version, Attempt: id.attempt, SOPS: sops,
		HostKey: cloudinit.HostKey{Private: id.hostKey.Private, Public: id.hostKey.Public},
		Sealed:  sealed, Images: pins, Brought: brought,
	})
}

func renderInput(p *profiles.Profile, in cloudinit.Input) (*cloudinit.UserData, error) {
	u, err := cloudinit.Render(in)
	var large *cloudinit.TooLargeError
	if errors.As(err, &large) {
		return nil, p.Fault("user-data-too-large", largest(p, large), large.Error(), "put what is large into the image of a service")
	}
	var taken *cloudinit.TakenError
	if errors.As(err, &taken) {
		i := slices.IndexFunc(p.Files, func(f profiles.File) bool { return f.Path == taken.Path })
		return nil, p.Fault("path-taken", fmt.Sprintf("files.%d.path", i), taken.Path+" is written by cattle itself", "take another path; nginx reads /etc/nginx/conf.d/*.conf too")
	}
	return u, err
}

// largest is where the profile asks for the largest part of user-data.
func largest(p *profiles.Profile, e *cloudinit.TooLargeError) string {
	name := e.Largest[0].Name
	if i := slices.IndexFunc(p.Files, func(f profiles.File) bool { return f.Path == name }); i >= 0 {
		return fmt.Sprintf("files.%d", i)
	}
	if strings.Contains(name, "compose") && len(p.Compose) > 0 {
		return "compose"
	}
	if strings.Contains(name, "secrets") {
		return "secrets.file"
	}
	return ""
}

// pinSource gives digests that are known before the registries are asked.
type pinSource func(context.Context, *release.World) (map[string]string, error)

// noPins is the pinSource of a release: a version means what it means today.
func noPins(context.Context, *release.World) (map[string]string, error) { return nil, nil }

// pins finds the digest of every image. One that does not exist is a fault of
// the profile; a registry that does not tell leaves the image unpinned.
func pins(ctx context.Context, o *release.Operator, w *release.World, refs []string, known pinSource) (map[string]string, []string, error) {
	var notices []string
	out := map[string]string{}
	from, err := known(ctx, w)
	if err != nil {
		notices = append(notices, fmt.Sprintf("the live droplet does not tell its images' digests (%v): they are asked for anew", err))
	}
	var mu sync.Mutex
	var faults []release.Fault
	var g errgroup.Group
	for _, ref := range refs {
		if digest := from[ref]; digest != "" {
			out[ref] = digest
			continue
		}
		g.Go(func() error {
			digest, err := droplets.ResolveImage(ctx, o.Dialer, ref)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				out[ref] = digest
			case droplets.ImageMissing(err):
				faults = append(faults, release.Fault{Code: "image-missing", Input: true, Msg: "there is no image " + ref, Hint: "docker push " + ref})
			default:
				notices = append(notices, fmt.Sprintf("%v: not checked and not pinned", err))
			}
			return nil
		})
	}
	g.Wait()
	if len(faults) > 0 {
		return nil, nil, &release.Preflight{Faults: faults}
	}
	return out, notices, nil
}
