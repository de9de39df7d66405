package droplets_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"cattle/droplets"
)

// TestInstalled reads what Debian's commands print.
func TestInstalled(t *testing.T) {
	h := newHostile(t)
	m := h.connect(t)
	h.answer <- answer{out: strings.NewReader("6.12.48+deb13-cloud-amd64\nii  openssl 3.5.1-1\nii  libc6 2.41-12\nrc  exim4 4.98-1\nnonsense\nii  evil\u202e 1\x1b[2J\n")}
	got, err := m.Installed(t.Context())
	want := map[string]string{"openssl": "3.5.1-1", "libc6": "2.41-12", "evil\uFFFD": "1\uFFFD[2J"}
	if err != nil || got.Kernel != "6.12.48+deb13-cloud-amd64" || !reflect.DeepEqual(got.Packages, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, said := range []string{"", "\n", "6.12\n", "6.12\nrc  exim4 4\n"} {
		h.answer <- answer{out: strings.NewReader(said)}
		if got, err := m.Installed(t.Context()); err == nil {
			t.Errorf("%q is taken for %+v", said, got)
		}
	}
}

// TestPending reads what apt prints.
func TestPending(t *testing.T) {
	const said = "Listing...\nopenssl/stable-security 3.5.1-1+deb13u1 amd64 [upgradable from: 3.5.1-1]\n" +
		"libc6/stable,now 2.41-13 amd64 [upgradable from: 2.41-12]\nN: There is 1 additional version. Please use the '-a' switch to see it\nreboot-required\n"
	h := newHostile(t)
	m := h.connect(t)
	h.answer <- answer{out: strings.NewReader(said)}
	got, err := m.Pending(t.Context())
	want := droplets.Pending{Reboot: true, Packages: []droplets.Update{{Name: "openssl", From: "3.5.1-1", To: "3.5.1-1+deb13u1"}, {Name: "libc6", From: "2.41-12", To: "2.41-13"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	h.answer <- answer{out: strings.NewReader("Listing...\n"), err: "E: Failed to fetch", exit: 100}
	var failed *droplets.VerbError
	if _, err := m.Pending(t.Context()); !errors.As(err, &failed) || !strings.Contains(err.Error(), "Failed to fetch") {
		t.Errorf("got %v", err)
	}
}

func TestUpdatesSince(t *testing.T) {
	before := droplets.Installed{Kernel: "6.1", Packages: map[string]string{"a": "1", "b": "1", "gone": "1"}}
	now := droplets.Installed{Kernel: "6.2", Packages: map[string]string{"a": "2", "b": "1", "new": "1"}}
	want := droplets.Updates{Kernel: &droplets.Update{Name: "kernel", From: "6.1", To: "6.2"},
		Packages: []droplets.Update{{Name: "a", From: "1", To: "2"}, {Name: "gone", From: "1"}, {Name: "new", To: "1"}}}
	if got := now.Since(before); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := now.Since(now); got.Kernel != nil || len(got.Packages) != 0 {
		t.Errorf("to itself: %+v", got)
	}
	many := droplets.Installed{Packages: map[string]string{}}
	for i := range 250 {
		many.Packages[fmt.Sprintf("p%03d", i)] = "1"
	}
	if got := many.Since(droplets.Installed{}); len(got.Packages) != 200 || got.More != 50 || got.Packages[0].Name != "p000" {
		t.Errorf("%d and %d more, from %v on", len(got.Packages), got.More, got.Packages[0])
	}
}
