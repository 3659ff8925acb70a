package redis

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
)

//go:embed lua/*.lua
var sources embed.FS

// script is a Lua script as Redis knows it: by its hash, or whole.
type script struct{ text, sha string }

// load joins the prelude, shared parts and a script's own file.
func load(parts ...string) *script {
	text := ""
	for _, p := range append([]string{"prelude"}, parts...) {
		b, err := sources.ReadFile("lua/" + p + ".lua")
		if err != nil {
			panic(err) // embedded: missing only if the program is wrong
		}
		text += string(b)
	}
	sum := sha1.Sum([]byte(text))
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

// scripts are read from the program once.
type scripts struct {
	append, emit, publish, cut, read, marker, repair, loss, heads, beat, nodes, quit *script
	presence, people, reap, session, tokens, forget, sockets, count, setup, field    *script
	strays                                                                           *script
}

var lua = sync.OnceValue(func() *scripts {
	return &scripts{
		append: load("append"), emit: load("emit"), publish: load("publish"),
		cut: load("log", "cut"), read: load("log", "read"), marker: load("marker"), repair: load("repair"),
		loss: load("loss"), heads: load("heads"), beat: load("beat"), nodes: load("nodes"), quit: load("quit"),
		presence: load("presence_core", "presence"), people: load("people"), reap: load("presence_core", "reap"),
		session: load("session"), tokens: load("tokens"), forget: load("forget"), sockets: load("sockets"),
		count: load("count"), setup: load("setup"), field: load("field"), strays: load("strays"),
	}
})

// piped are those that go through a pipe, which loads them with its
// connection: so no batch meets NOSCRIPT half way.
func (s *scripts) piped() []*script {
	return []*script{s.append, s.emit, s.publish, s.presence, s.session, s.forget, s.sockets, s.loss, s.strays}
}

// call is the command that runs a script in a lane.
func (l *lane) call(s *script, args ...any) []any {
	cmd := make([]any, 0, 7+len(args))
	cmd = append(cmd, "EVALSHA", s.sha, 1, l.base+"lane", l.base, l.a.incarnation(), l.publishCmd)
	return append(cmd, args...)
}

// lifeOf is the incarnation that a script's call was made for.
func lifeOf(cmd []any) string {
	if len(cmd) > 5 {
		life, _ := cmd[5].(string)
		return life
	}
	return ""
}

// reply reads what a script returned: strings, numbers and lists of them.
type reply []any

func (r reply) text(i int) string {
	if i >= len(r) {
		return ""
	}
	return asText(r[i])
}

func asText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return ""
}

func (r reply) number(i int) uint64 {
	n, _ := strconv.ParseUint(r.text(i), 10, 64)
	return n
}

func (r reply) list(i int) reply {
	if i >= len(r) {
		return nil
	}
	v, _ := r[i].([]any)
	return v
}

func asReply(v any) (reply, error) {
	r, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("script answered %T", v)
	}
	return r, nil
}
