// Package docs holds the documents that the server serves.
package docs

import _ "embed"

// OpenAPI describes the HTTP API; package httpapi's tests hold it against the code.
//
//go:embed openapi.yaml
var OpenAPI []byte
