package web

import (
	"embed"
	"io/fs"
)

//go:embed page
var page embed.FS

//go:embed client/LICENSE client/*.js client/*.map
var client embed.FS

// FS returns the page's files, index.html at the root. It never changes and is
// safe for concurrent use.
func FS() fs.FS { return sub(page, "page") }

// Client returns the official browser client's bundles (socket.io.js and its
// .min, .esm.min and .msgpack.min variants, each with its source map) and their
// LICENSE, all at the root. It never changes and is safe for concurrent use.
func Client() fs.FS { return sub(client, "client") }

// sub cannot fail: the folders are embedded under constant names.
func sub(files embed.FS, dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return f
}
