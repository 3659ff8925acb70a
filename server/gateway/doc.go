// Package gateway is the server's edge in HTTP: it routes requests to the
// Engine.IO endpoint, the browser client's bundles, the page and the health
// checks, and holds the rules that are about HTTP alone: origins, headers,
// caching and time limits.
//
//	/socket.io/             the endpoint, with and without the last slash
//	/socket.io/socket.io.js the browser client, and its variants
//	/healthz                200 while the process lives
//	/readyz                 200 while the node can take connections, else 503
//	/...                    the page
//
// It knows nothing of sessions, sockets or chats: the endpoint is an
// [http.Handler] that it is given.
package gateway
