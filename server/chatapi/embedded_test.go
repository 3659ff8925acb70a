package chatapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// docs/embedding.md shows the program of embedding_test.go, which is compiled
// here.
func TestEmbeddingText(t *testing.T) {
	code, err := os.ReadFile("embedding_test.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Replace(code, []byte("package chatapi_test"), []byte("package main"), 1)
	if !bytes.Contains(doc, want) {
		t.Error("docs/embedding.md does not have the program of server/chatapi/embedding_test.go")
	}
}

// And it does what the text says: here over polling, by hand.
func TestEmbedding(t *testing.T) {
	handler, stop, err := newHandler()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	defer srv.Close()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Error(err)
		}
		srv.Client().CloseIdleConnections()
	}()
	client := srv.Client()
	client.Timeout = 30 * time.Second
	do := func(method, sid, body string) string {
		t.Helper()
		url := srv.URL + "/socket.io/?EIO=4&transport=polling"
		if sid != "" {
			url += "&sid=" + sid
		}
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		answer, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s, %v", body, res.StatusCode, answer, err)
		}
		return string(answer)
	}
	dial := func() string {
		var open struct{ SID string }
		if err := json.Unmarshal([]byte(do("GET", "", "")[1:]), &open); err != nil {
			t.Fatal(err)
		}
		return open.SID
	}
	// until polls for a packet.
	until := func(sid, want string) {
		t.Helper()
		var all []string
		for range 20 {
			all = append(all, do("GET", sid, ""))
			if strings.Contains(all[len(all)-1], want) {
				return
			}
		}
		t.Fatalf("no %s in %q", want, all)
	}
	a, b := dial(), dial()
	do("POST", a, `40/kitchen,{"key":"pepper"}`)
	until(a, `44/kitchen,{"message":"wrong key","data":{"code":"wrong_key"}}`)
	for _, sid := range []string{a, b} {
		do("POST", sid, `40/kitchen,{"key":"salt"}`)
		until(sid, "40/kitchen,")
	}
	do("POST", a, `42/kitchen,0["order",{"dish":"kimchi","count":0}]`)
	until(a, `43/kitchen,0[{"event":"order","error":{"code":"too_few","message":"order at least one","retryable":false}}]`)
	do("POST", a, `42/kitchen,1["order",{"dish":"kimchi","count":2}]`)
	until(a, `43/kitchen,1[{"number":1}]`)
	until(b, `42/kitchen,["order",{"dish":"kimchi","count":2}`)
	// The chat is beside it.
	do("POST", b, `40`)
	until(b, `40{"sid"`)
	do("POST", b, `421["new message","hello"]`)
	until(b, `431[{"id":`)
}
