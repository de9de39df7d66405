package droplets_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"cattle/droplets"
)

// TestSnapshotsAreOurs: a list is no proof, so that what lacks the tag, or is
// no snapshot of the account, is left out whatever the API answers.
func TestSnapshotsAreOurs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"images":[
			{"id":1,"type":"snapshot","public":false,"tags":["cattle:app:blog"],"regions":["fra1"],"min_disk_size":25,"size_gigabytes":1.5,"status":"available","name":"n"},
			{"id":2,"type":"snapshot","public":false,"tags":["cattle:app:shop"]},
			{"id":3,"type":"snapshot","public":true,"tags":["cattle:app:blog"]},
			{"id":4,"type":"backup","public":false,"tags":["cattle:app:blog"]}]}`)
	}))
	defer server.Close()
	api, err := droplets.Open(droplets.Config{Token: "t", URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	got, err := api.Snapshots(t.Context(), "cattle:app:blog")
	if err != nil || len(got) != 1 || got[0].ID != 1 || got[0].MinDisk != 25 || got[0].SizeGB != 1.5 || got[0].Name != "n" || got[0].Status != "available" || got[0].Regions[0] != "fra1" {
		t.Errorf("%+v, %v", got, err)
	}
}
