package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
)

// route is one operation. What is served, docs/openapi.yaml and the readable page
// are made from the same table.
type route struct {
	operation string
	method    string
	path      string // below Prefix; {name} is a variable
	scope     Scope  // 0: nobody is asked who they are
	summary   string
	about     string
	query     []parameter
	headers   []parameter
	body      []any // of these types, one
	status    int
	answer    any    // of this type; nil: none
	media     string // of the answer; application/json by default
	codes     []Code // beside those that every route of its kind has

	serve  func(ctx context.Context, c *call) (status int, answer any, err error)
	stream func(c *call) error
}

type parameter struct {
	name, about string
	number      bool
}

// variables are those of the paths.
var variables = map[string]string{
	"room": "The room's name, in an address percent-encoded (a slash is %2F). @ and a user's public id is the key's direct room with that user.",
	"user": "The user's public id, or sub: and what the tokens' issuer calls the user.",
	"seq":  "The message's place in its room.",
}

// Operations are the routes' names, for whoever counts them.
var Operations = func() (names []string) {
	for _, r := range routes {
		names = append(names, r.operation)
	}
	return names
}()

var (
	limitParameter = parameter{"limit", "How many at most; more than the server allows is cut.", true}
	epochParameter = parameter{"epoch", "The epoch of the numbers: answers say it. Without it, the room's current one.", false}
	idempotencyKey = parameter{"Idempotency-Key", "Makes a repetition of the very same request safe, for dedupe.window. An id in a message goes before.", false}
)

var routes = []route{
	{
		operation: "postMessages", method: http.MethodPost, path: "/rooms/{room}/messages", scope: ScopeWrite,
		summary: "Post a message, or a batch, to a room",
		about: "A batch is checked as a whole, and then stored in its order, one by one: a problem names the message (index) and lists those that are stored. " +
			"Repeating the request with the same Idempotency-Key or ids stores only what is missing. The status is 200 when nothing was new.",
		headers: []parameter{idempotencyKey}, body: []any{NewMessage{}, NewMessages{}}, status: http.StatusCreated, answer: oneOf{Stored{}, StoredList{}},
		codes: append([]Code{CodeForbidden, CodeInvalidRoom, CodeStoreFull}, sending...), serve: postMessages,
	},
	{
		operation: "readMessages", method: http.MethodGet, path: "/rooms/{room}/messages", scope: ScopeRead,
		summary: "Read a page of a room's messages",
		about: "The newest; or those before a seq; or those after one; ascending. The next page goes on before first, or after last: entries that are no messages are counted, and not shown. " +
			"gap is a range that was asked for and is lost for good; lost are ranges before it that the store has lost since they were read.",
		query:  []parameter{{"before", "Only messages before this seq.", true}, {"after", "Only messages after this seq.", true}, limitParameter, epochParameter},
		status: http.StatusOK, answer: MessagePage{}, codes: []Code{CodeForbidden, CodeInvalidRoom}, serve: readMessages,
	},
	{
		operation: "listRooms", method: http.MethodGet, path: "/rooms", scope: ScopeRead,
		summary: "List rooms that have messages or people",
		about: "Ascending by name, without direct rooms, and without those that the key may not read. next is the cursor of the next page, and the last page has none. " +
			"A page may have fewer rooms than were asked for, even none, and still a next: at most 1,000 rooms are looked at for it.",
		query:  []parameter{{"after", "Only rooms after this name.", false}, {"cursor", "next of the page before, in place of after.", false}, limitParameter},
		status: http.StatusOK, answer: RoomList{}, codes: []Code{CodeInvalidRoom}, serve: listRooms,
	},
	{
		operation: "listMembers", method: http.MethodGet, path: "/rooms/{room}/members", scope: ScopeRead,
		summary: "Say who is in a room",
		about: "People with a name, by page; all are counted. next is the cursor of the next page, and the last page has none. " +
			"Whoever is there all the time that it takes to read the pages is listed once.",
		query:  []parameter{{"cursor", "next of the page before.", false}, {"limit", "How many at most; more than limits.people_listed is cut, and as many come without it.", true}},
		status: http.StatusOK, answer: Members{}, codes: []Code{CodeForbidden, CodeInvalidRoom}, serve: listMembers,
	},
	{
		operation: "exportRoom", method: http.MethodGet, path: "/rooms/{room}/export", scope: ScopeRead,
		summary: "Export a room, from the oldest message on",
		about: "A stream of JSON objects, one a line, each with one of the fields. cursor lines say where to go on when the stream breaks; the line with end is the last one of a stream that is whole. " +
			"removed are seqs of messages that came before and were removed since, gap what is missing here for good, lost what the store has lost since it was read; an error ends the stream.",
		query:  []parameter{{"cursor", "Of the last cursor line that was read. Without it, from the beginning.", false}},
		status: http.StatusOK, answer: ExportLine{}, media: "application/x-ndjson", codes: []Code{CodeForbidden, CodeInvalidRoom}, stream: exportRoom,
	},
	{
		operation: "removeMessage", method: http.MethodDelete, path: "/rooms/{room}/messages/{seq}", scope: ScopeModerate,
		summary: "Take a message out of everybody's view",
		query:   []parameter{epochParameter}, status: http.StatusOK, answer: chatapi.Entry{},
		codes: []Code{CodeForbidden, CodeInvalidRoom, CodeNoMessage, CodeStoreFull}, serve: removeMessage,
	},
	{
		operation: "mute", method: http.MethodPut, path: "/rooms/{room}/mutes/{user}", scope: ScopeModerate,
		summary: "Keep a user from writing to a room, for a time",
		body:    []any{Sanction{}}, status: http.StatusOK, answer: chatapi.Entry{},
		codes: moderating, serve: sanction(chat.Mute),
	},
	{
		operation: "unmute", method: http.MethodDelete, path: "/rooms/{room}/mutes/{user}", scope: ScopeModerate,
		summary: "Take a mute back", status: http.StatusOK, answer: chatapi.Entry{}, codes: moderating, serve: pardon(chat.Mute),
	},
	{
		operation: "kick", method: http.MethodPost, path: "/rooms/{room}/kicks/{user}", scope: ScopeModerate,
		summary: "Put a user out of a room",
		about:   "for is not looked at: the user may join again at once.",
		body:    []any{Sanction{}}, status: http.StatusOK, answer: chatapi.Entry{}, codes: moderating, serve: sanction(chat.Kick),
	},
	{
		operation: "banFromRoom", method: http.MethodPut, path: "/rooms/{room}/bans/{user}", scope: ScopeModerate,
		summary: "Put a user out of a room and keep it out, for a time",
		body:    []any{Sanction{}}, status: http.StatusOK, answer: chatapi.Entry{}, codes: moderating, serve: sanction(chat.Ban),
	},
	{
		operation: "unbanFromRoom", method: http.MethodDelete, path: "/rooms/{room}/bans/{user}", scope: ScopeModerate,
		summary: "Take a ban from a room back", status: http.StatusOK, answer: chatapi.Entry{}, codes: moderating, serve: pardon(chat.Ban),
	},
	{
		operation: "ban", method: http.MethodPut, path: "/bans/{user}", scope: ScopeAdmin,
		summary: "Keep a user out of the whole chat, for a time, and end its connections",
		about:   "On all nodes at once. It is how a user whose tokens are still good is revoked: for as long as they are. An hour without for, at most 366 days. reason is not kept.",
		body:    []any{Sanction{}}, status: http.StatusNoContent, codes: []Code{CodeStoreFull}, serve: ban,
	},
	{
		operation: "unban", method: http.MethodDelete, path: "/bans/{user}", scope: ScopeAdmin,
		summary: "Let a user into the chat again", status: http.StatusNoContent, codes: []Code{CodeStoreFull}, serve: unban,
	},
	{
		operation: "messageUser", method: http.MethodPost, path: "/users/{user}/messages", scope: ScopeWrite,
		summary: "Send a message to one user",
		about: "It is stored in the direct room of the key's name and the user, whose sockets are told (direct message), and find it under their rooms later. " +
			"Answers of the user are read from the room @ and the user's public id.",
		headers: []parameter{idempotencyKey}, body: []any{NewMessage{}}, status: http.StatusCreated, answer: Stored{},
		codes: append([]Code{CodeForbidden, CodeStoreFull}, sending...), serve: messageUser,
	},
	{
		operation: "announce", method: http.MethodPost, path: "/announcements", scope: ScopeAdmin,
		summary: "Tell every connected client something",
		about:   "The event announcement, on all nodes. Clients that come back within the recovery window get it too; it is in no room's history, and not deduplicated.",
		body:    []any{NewAnnouncement{}}, status: http.StatusCreated, answer: chatapi.Announcement{},
		codes: []Code{CodeInvalidMessage, CodeInvalidName}, serve: announce,
	},
	{
		operation: "openAPI", method: http.MethodGet, path: "/openapi.yaml",
		summary: "This description", status: http.StatusOK, media: "application/yaml", answer: document{}, stream: openAPI,
	},
	{
		operation: "docs", method: http.MethodGet, path: "/docs",
		summary: "The same as a page", status: http.StatusOK, media: "text/html", answer: document{}, stream: docs,
	},
}

// sending and moderating are codes of many routes.
var (
	sending    = []Code{CodeInvalidMessage, CodeInvalidName, CodeInvalidID, CodeIDConflict}
	moderating = []Code{CodeForbidden, CodeInvalidRoom, CodeStoreFull}
)

// oneOf and document stand for answers that are no single JSON type.
type (
	oneOf    []any
	document struct{}
)

// codesOf are all that a route may answer, in the order of Codes.
func (r *route) codesOf() (codes []Code) {
	mine := slices.Clone(r.codes)
	if r.scope != 0 {
		mine = append(mine, CodeBadRequest, CodeUnauthorized, CodeTokenInvalid, CodeTokenExpired, CodeScopeMissing, CodeBanned,
			CodeRateLimited, CodeInternal, CodeUnavailable, CodeOverloaded)
	} else {
		mine = append(mine, CodeBadRequest, CodeUnavailable)
	}
	if r.body != nil {
		mine = append(mine, CodeTooLarge, CodeMediaType)
	}
	for _, known := range Codes {
		if slices.Contains(mine, known.Code) {
			codes = append(codes, known.Code)
		}
	}
	return codes
}

// match says whether a path's parts are the route's, and what its variables are.
func (r *route) match(parts []string) (vars map[string]string, ok bool) {
	i := 0
	for want := range strings.SplitSeq(r.path, "/") {
		if i == len(parts) {
			return nil, false
		}
		name, isVariable := strings.CutPrefix(want, "{")
		switch {
		case isVariable:
			value, err := url.PathUnescape(parts[i])
			if err != nil || value == "" {
				return nil, false
			}
			if vars == nil {
				vars = make(map[string]string)
			}
			vars[strings.TrimSuffix(name, "}")] = value
		case want != parts[i]:
			return nil, false
		}
		i++
	}
	return vars, i == len(parts)
}

// readQuery refuses what the route has no parameter for: a mistake in a name would
// otherwise read something else than was meant.
func (r *route) readQuery(raw string) (url.Values, error) {
	if raw == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, failure{code: CodeBadRequest, detail: "the query cannot be read"}
	}
	for name, list := range values {
		if !slices.ContainsFunc(r.query, func(p parameter) bool { return p.name == name }) {
			return nil, failure{code: CodeBadRequest, detail: fmt.Sprintf("the query has no parameter %.64q here", name)}
		}
		if len(list) != 1 {
			return nil, failure{code: CodeBadRequest, detail: name + " is there more than once"}
		}
	}
	return values, nil
}

// number is a parameter of the query, nil without it.
func (c *call) number(name string) (*uint64, error) {
	text := c.query.Get(name)
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return nil, failure{code: CodeBadRequest, detail: name + " must be a whole number from 0 on"}
	}
	return &n, nil
}

// limit is the parameter of that name, 0 without it.
func (c *call) limit() (int, error) {
	n, err := c.number("limit")
	if n == nil || err != nil {
		return 0, err
	}
	return int(min(*n, 1<<20)), nil
}

// user is the public id that the path names.
func (c *call) user() string {
	if subject, ok := strings.CutPrefix(c.vars["user"], "sub:"); ok {
		return chatapi.UserOf(subject)
	}
	return c.vars["user"]
}
