package cloudinit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A restServer keeps a repository in memory, by restic's published REST API:
// /config, and /TYPE/NAME in lists by type.
type restServer struct {
	mu    sync.Mutex
	files map[string][]byte // by path
	asked map[string]int    // by method
}

func (s *restServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[r.Method]++
	content, there := s.files[r.URL.Path]
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Get("create") == "true":
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/"):
		s.list(w, r.URL.Path)
	case r.Method == http.MethodPost:
		s.files[r.URL.Path], _ = io.ReadAll(r.Body)
	case !there:
		http.NotFound(w, r)
	case r.Method == http.MethodDelete:
		delete(s.files, r.URL.Path)
	default: // of HEAD and GET, ranges too
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

func (s *restServer) list(w http.ResponseWriter, folder string) {
	type file struct {
		Name string `json:"name"`
		Size int    `json:"size"`
	}
	list := []file{}
	for path, content := range s.files {
		if name, in := strings.CutPrefix(path, folder); in {
			list = append(list, file{name, len(content)})
		}
	}
	w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v2")
	json.NewEncoder(w).Encode(list)
}

// TestBackupToREST goes through everything with a repository on restic's REST server.
func TestBackupToREST(t *testing.T) {
	kept := &restServer{files: map[string][]byte{}, asked: map[string]int{}}
	server := httptest.NewServer(kept)
	defer server.Close()
	repository := "rest:" + server.URL + "/blog/"
	keepsAndRestores(t, newKept(t, repository, nil), newKept(t, repository, nil))
	if kept.asked[http.MethodPost] == 0 || len(kept.files) == 0 {
		t.Error("nothing is in the repository:", kept.asked)
	}
}
