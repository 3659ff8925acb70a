// Package httpapi is the chat's HTTP interface for back ends, under [Prefix]: one
// table of routes, from which requests are served, docs/openapi.yaml is held
// against the code, and the readable page is made.
//
// A request is let in (a key, or a token with a claim), counted against its
// caller's bucket, decoded within limits, and handed to a [chatapi.Backend]. Every
// refusal is a problem document (RFC 9457) with a code of a closed list.
//
// It must not know sockets, rooms' rules or the store: those are the chat's.
package httpapi
