// Package schematest makes documents of an interface (OpenAPI, AsyncAPI) from the Go
// types that its handlers decode and encode, and holds the files in docs/ against
// them. Only tests use it: what a type looks like is found by reflection, so that a
// field cannot be in the code and not in the document.
//
// It must not know which interface it is.
package schematest
