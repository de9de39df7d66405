package cloudinit

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// withNginx starts nginx on a droplet, before an app; it returns the address.
func withNginx(t *testing.T, d *stateDroplet, app http.Handler) string {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
		t.Skip("there is no nginx: apt-get install nginx-light")
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	d.write("/etc/nginx/cattle/site-0.conf", "location / {\n\tproxy_pass "+server.URL+";\n}\n"+
		"location ^~ /.well-known/acme-challenge/ {\n\treturn 200;\n}\nlocation = /.well-known/cattle/attempt {\n\treturn 200;\n}\n")
	os.Mkdir(d.root+"/etc/nginx/conf.d", 0o755)
	temporary := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("%s_temp_path %s/run/%s;\n", kind, d.root, kind)
	}
	d.write("/etc/nginx/nginx.conf", fmt.Sprintf(`user root;
worker_processes 1;
pid %[1]s/run/nginx.pid;
error_log %[1]s/run/error.log;
events { }
http {
	%[2]s
	access_log off;
	include %[1]s/etc/nginx/conf.d/*.conf;
	server {
		listen %[3]s;
		include %[1]s/etc/nginx/cattle/site-0.conf;
	}
}
`, d.root, temporary, address))
	nginx := d.command("nginx", "-g", "daemon off;")
	nginx.Cancel = func() error { return nginx.Process.Signal(os.Interrupt) }
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nginx.Cancel(); nginx.Wait() })
	for {
		if connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
			connection.Close()
			return "http://" + address
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func ask(t *testing.T, client *http.Client, method, url string, body io.Reader) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Errorf("%s: %v", method, err)
		return &http.Response{}, ""
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	return answer, string(text)
}

// TestFreezeHoldsWritesAlone: reads go on, writes are told to come again, and what
// was under way is over when freeze answers.
func TestFreezeHoldsWritesAlone(t *testing.T) {
	old, _ := stateDroplets(t, t.TempDir())
	var posted atomic.Int32
	url := withNginx(t, old, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			time.Sleep(300 * time.Millisecond)
			posted.Add(1)
			w.WriteHeader(http.StatusCreated)
		}
	}))
	old.do("prepare")
	old.do("prepare") // twice, and there is one include
	site, _ := os.ReadFile(old.root + "/etc/nginx/cattle/site-0.conf")
	if strings.Count(string(site), "include") != 1 {
		t.Errorf("site-0.conf is %s", site)
	}
	kept := &http.Client{Transport: &http.Transport{}}
	ask(t, kept, "GET", url, nil) // a connection that is kept
	underWay := make(chan int)
	go func() {
		answer, _ := ask(t, http.DefaultClient, "POST", url, nil)
		underWay <- answer.StatusCode
	}()
	time.Sleep(100 * time.Millisecond)
	old.do("freeze", "30")
	if posted.Load() != 1 {
		t.Error("freeze answered while a write was under way")
	}
	if status := <-underWay; status != http.StatusCreated {
		t.Errorf("the write that was under way: %d", status)
	}
	for range 3 {
		if answer, _ := ask(t, kept, "GET", url+"/x", nil); answer.StatusCode != 200 {
			t.Errorf("a read is answered %d", answer.StatusCode)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
		answer, text := ask(t, kept, method, url+"/x", strings.NewReader(strings.Repeat("x", 2<<20)))
		if answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "5" || !strings.Contains(text, "takes no changes") {
			t.Errorf("%s is answered %d, %v, %s", method, answer.StatusCode, answer.Header, text)
		}
	}
	if posted.Load() != 1 {
		t.Error("a write went through")
	}
	old.do("thaw")
	if answer, _ := ask(t, kept, "POST", url, nil); answer.StatusCode != http.StatusCreated {
		t.Errorf("thawed, a write is answered %d", answer.StatusCode)
	}
	for _, path := range []string{"/.well-known/cattle/frozen", "/.well-known/cattle/frozen.html"} {
		if answer, _ := ask(t, kept, "GET", url+path, nil); answer.StatusCode != 404 {
			t.Errorf("%s is answered %d", path, answer.StatusCode)
		}
	}
}

// TestFreezeEndsWhatDoesNotEnd: a write that takes longer than nginx waits is cut
// off, and not acknowledged.
func TestFreezeEndsWhatDoesNotEnd(t *testing.T) {
	old, _ := stateDroplets(t, t.TempDir())
	url := withNginx(t, old, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(8 * time.Second):
		}
	}))
	old.do("prepare")
	ended := make(chan error, 1)
	go func() {
		_, err := http.Post(url, "", nil)
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	old.do("freeze", "30")
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("freeze waited %v", took)
	}
	if err := <-ended; err == nil {
		t.Error("the write was acknowledged")
	}
	old.do("thaw")
}
