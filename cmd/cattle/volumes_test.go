package main

import (
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// lentVolume NAME: somebody has a volume of that name at a droplet of his own.
func lentVolume(ts *testscript.TestScript, neg bool, args []string) {
	callAPI(ts, false, []string{"POST", "/v2/volumes", fmt.Sprintf(`{"name":%q,"region":"nyc3","size_gigabytes":10,"filesystem_type":"ext4"}`, args[0])})
	callAPI(ts, false, []string{"POST", "/v2/droplets", `{"name":"legacy","region":"nyc3","size":"s-1vcpu-1gb","image":"debian-13-x64"}`})
	cloud := boxOf(ts).cloud
	for cloud.Snapshot().Droplets[0].Status != "active" {
		time.Sleep(20 * time.Millisecond)
	}
	moveVolume(ts, args[0], "attach", cloud.Snapshot().Droplets[0].ID)
}

// takeVolume NAME: the volume is off its droplet, as a release leaves it that
// dies in the middle: that one had let go of it, for a while that is over.
func takeVolume(ts *testscript.TestScript, neg bool, args []string) {
	for _, v := range boxOf(ts).cloud.Snapshot().Volumes {
		if v.Name == args[0] {
			moveVolume(ts, v.Name, "detach", v.Droplet)
		}
	}
}

func moveVolume(ts *testscript.TestScript, name, how string, droplet int) {
	cloud := boxOf(ts).cloud
	callAPI(ts, false, []string{"POST", "/v2/volumes/actions", fmt.Sprintf(`{"type":%q,"volume_name":%q,"droplet_id":%d,"region":"nyc3"}`, how, name, droplet)})
	for moving := true; moving; time.Sleep(20 * time.Millisecond) {
		moving = false
		for _, v := range cloud.Snapshot().Volumes {
			moving = moving || v.Moving
		}
	}
}
