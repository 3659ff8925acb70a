// Package web holds what a browser is given: the chat page and the official
// browser client's bundles, both embedded, so that the one binary works
// without a build step and without a network.
//
// The page (page/) is plain HTML, CSS and small ES modules. It asks nobody
// but the server that it came from, has no inline script or style, and puts
// text in with textContent alone, so it runs under
//
//	Content-Security-Policy: default-src 'self'; connect-src 'self'
//
// (older Safari does not count WebSocket under 'self'; name ws: and wss: for
// it). All its addresses are relative: it works under any prefix, as long as
// the bundles and the Socket.IO endpoint are at socket.io/ beside it.
//
// The package knows no HTTP: the gateway decides on routes, headers and
// compression. Type check and unit tests of the page's modules:
//
//	tsc --noEmit -p web/jsconfig.json
//	node --test web/test/*.test.js
package web
