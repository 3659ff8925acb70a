// Package peers holds the Go servers that Antchat is measured beside, in a module
// of its own so that the product does not depend on them. Each has the two
// handlers of ../node/server.mjs, written against its library's public API, and
// prints "listening PORT".
package peers
