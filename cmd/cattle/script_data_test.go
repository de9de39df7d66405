package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/proxy"
)

// visitRows asks the site for its rows, or adds one, as a visitor does: through the
// reserved IP.
func visitRows(ts *testscript.TestScript, method, row string) (status int, body string) {
	dial, err := proxy.SOCKS5("tcp", boxOf(ts).socks, nil, proxy.Direct)
	ts.Check(err)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dial.(proxy.ContextDialer).DialContext(ctx, network, addr)
		}}}
	req, err := http.NewRequest(method, "http://"+reservedIP(ts)+"/rows", strings.NewReader(row))
	ts.Check(err)
	req.Host = "blog.example.com"
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return resp.StatusCode, string(text)
}

// post ROW…: visitors add rows, one after the other; with ! they are told to
// come back later.
func postRows(ts *testscript.TestScript, neg bool, args []string) {
	want := map[bool]int{false: http.StatusCreated, true: http.StatusServiceUnavailable}[neg]
	for _, row := range args {
		if status, said := visitRows(ts, http.MethodPost, row); status != want {
			ts.Fatalf("the row %s was answered %d, not %d: %s", row, status, want, said)
		}
	}
}

// rows ROW…: visitors see these, in that order, and no others.
func seeRows(ts *testscript.TestScript, neg bool, args []string) {
	status, said := visitRows(ts, http.MethodGet, "")
	if got := strings.Fields(said); status != http.StatusOK || fmt.Sprint(got) != fmt.Sprint(args) {
		ts.Fatalf("the site shows %v with status %d, not %v", got, status, args)
	}
}
