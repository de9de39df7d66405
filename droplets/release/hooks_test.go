package release_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
)

// hookedBench has all three hooks; run is what each of them does.
func hookedBench(b *simulation.Bench, run func(context.Context, release.Hook) error) *[]release.Hook {
	b.Site.Hooks = release.Hooks{BeforeSwitch: []string{"./before"}, AfterRelease: []string{"./after", "two words"}, OnFailure: []string{"./failed"}, Deadline: 9 * time.Minute}
	var seen []release.Hook
	b.Op.RunHook = func(ctx context.Context, h release.Hook) error {
		seen = append(seen, h)
		return run(ctx, h)
	}
	return &seen
}

func namesOf(hooks []release.Hook) (names []string) {
	for _, h := range hooks {
		names = append(names, h.Name)
	}
	return names
}

// TestHooks: they run in their moments and are told what is known then.
func TestHooks(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		seen := hookedBench(b, func(context.Context, release.Hook) error { return nil })
		first := b.Must("v1")
		b.Must("v2")
		if got := namesOf(*seen); !slices.Equal(got, []string{"before-switch", "after-release", "before-switch", "after-release"}) {
			t.Fatal(got)
		}
		if f := (*seen)[0].Facts; f.Address != first.Address || f.IP != "" || f.Previous != "" || f.Droplet != first.Droplet {
			t.Errorf("before the first switch: %+v", f)
		}
		if f := (*seen)[3].Facts; f.App != "blog" || f.Verb != "release" || f.Release != "v2" || f.Previous != "v1" || f.IP != first.IP || f.Attempt == "" {
			t.Errorf("after the second release: %+v", f)
		}
		names := stepsOf(t, b, "v3")
		if i := slices.Index(names, "before-switch"); names[i-1] != "gate" || names[i+1] != "switch" || names[len(names)-1] != "after-release" {
			t.Error("steps:", names)
		}
		*seen = nil
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if got := namesOf(*seen); !slices.Equal(got, []string{"after-release"}) {
			t.Error("a rollback is held up by nothing:", got)
		}
	})
}

// TestHookRefuses: what fails before the switch is undone, and on-failure hears
// of it when it is; what fails afterwards undoes nothing.
func TestHookRefuses(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		no := errors.New("no")
		var running []string
		seen := hookedBench(b, func(_ context.Context, h release.Hook) error {
			if h.Name == release.OnFailure {
				time.Sleep(20 * time.Second) // deleting takes its time
				running = b.Running()
			}
			return no
		})
		_, err := b.Release(b.T.Context(), "v2")
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Step != release.BeforeSwitch || refused.Serving != "v1" || !errors.Is(err, no) {
			t.Fatal(err)
		}
		if !slices.Equal(running, []string{"v1"}) || !errors.As((*seen)[1].Err, &refused) {
			t.Errorf("on-failure came while %v ran: %v", running, (*seen)[1].Err)
		}
		b.Expect("v1", "v1")
		hookedBench(b, func(_ context.Context, h release.Hook) error {
			if h.Name == release.AfterRelease {
				return no
			}
			return nil
		})
		_, err = b.Release(b.T.Context(), "v2")
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || incomplete.Leftovers[0].Command != "./after 'two words'" {
			t.Fatal(err)
		}
		b.Expect("v2", "v1", "v2")
	})
}

// TestHookHasItsTime: a hook that thinks for as long as it may does not outlive
// the release's lease.
func TestHookHasItsTime(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Site.BootWithin = time.Minute
		hookedBench(b, func(_ context.Context, h release.Hook) error {
			time.Sleep(h.Deadline - time.Second)
			return nil
		})
		b.Must("v1")
		b.Must("v2")
	})
}

// TestHookInterrupted: an interrupt in the middle of a hook ends it, one before
// it does not keep the release's end from being told.
func TestHookInterrupted(t *testing.T) {
	for _, at := range []string{release.BeforeSwitch, release.AfterRelease, "certificate"} {
		t.Run(at, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Must("v1")
				ctx, interrupt := context.WithCancelCause(b.T.Context())
				by := errors.New("interrupted")
				seen := hookedBench(b, func(ctx context.Context, h release.Hook) error {
					if h.Name == release.OnFailure && ctx.Err() != nil {
						t.Error("on-failure cannot run: it was interrupted before it began")
					}
					if h.Name == at {
						interrupt(by)
						<-ctx.Done()
						return context.Cause(ctx)
					}
					return ctx.Err()
				})
				b.Op.Emit = func(e release.Event) {
					if e.Step == at && e.Step == "certificate" {
						interrupt(by)
					}
				}
				_, err := b.Release(ctx, "v2")
				var refused *release.Refused
				var incomplete *release.Incomplete
				got := strings.Join(namesOf(*seen), " ")
				switch at {
				case release.BeforeSwitch:
					if !errors.As(err, &refused) || !errors.Is(err, by) || got != "before-switch on-failure" {
						t.Errorf("%v; hooks: %s", err, got)
					}
				case release.AfterRelease:
					if !errors.As(err, &incomplete) || !errors.Is(incomplete.Leftovers[0].Err, by) {
						t.Errorf("%v; hooks: %s", err, got)
					}
				default:
					if err != nil || got != "before-switch after-release" {
						t.Errorf("%v; hooks: %s", err, got)
					}
				}
			})
		})
	}
}
