package internet

import (
	"encoding/xml"
	"net/http"
	"strings"
	"sync"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Objects is a store of objects that speaks S3, for backups: at every host name,
// and with any bucket, which is made when it is first written to. What is kept
// is kept in memory, for as long as the internet is there, whatever becomes of
// the droplets. It looks at the access key of a request, and not at its signature.
type Objects struct {
	handler http.Handler

	mu    sync.Mutex
	keys  map[string]bool
	open  bool
	room  int64 // bytes that are still taken; negative: any number
	wrote int64
}

// signed is how a request begins its Authorization that is one of S3's.
const signed = "AWS4-HMAC-SHA256 "

// NewObjects makes an empty store that lets nobody in yet.
func NewObjects() *Objects {
	store := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true), gofakes3.WithTimeSkewLimit(0))
	return &Objects{handler: store.Server(), keys: map[string]bool{}, room: -1}
}

// Login lets requests in that are signed with an access key.
func (o *Objects) Login(accessKey string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys[accessKey] = true
}

// Open lets everybody in whose request is signed.
func (o *Objects) Open() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = true
}

// Limit has the store take that many bytes more and then refuse, as one does
// whose customer has reached his limit. A negative number takes the limit away.
func (o *Objects) Limit(bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.room, o.wrote = bytes, 0
}

// isSigned says that a request is one for a store of objects.
func isSigned(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), signed)
}

// ServeHTTP speaks S3, with the bucket in the path.
func (o *Objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !isSigned(r):
		refuse(w, http.StatusForbidden, "AccessDenied", "Access Denied.")
	case !o.knows(accessKey(r)):
		refuse(w, http.StatusForbidden, "InvalidAccessKeyId", "The access key is not known here.")
	case !o.takes(r):
		refuse(w, http.StatusForbidden, "QuotaExceeded", "There is no room left.")
	default:
		o.handler.ServeHTTP(w, r)
	}
}

func (o *Objects) knows(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open || o.keys[key]
}

// takes says that there is room for what a request brings, and counts it.
func (o *Objects) takes(r *http.Request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method != http.MethodPut || o.room < 0 {
		return true
	}
	o.wrote += max(r.ContentLength, 0)
	return o.wrote <= o.room
}

// accessKey is the name in front of the first slash of
// Credential=KEY/20260102/region/s3/aws4_request.
func accessKey(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	return key
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	xml.NewEncoder(w).Encode(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
}
