package httpapi

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/antchat/antchat/server/chatapi"
)

// Code says why a request was refused. The list is closed; those that chatapi has
// too mean the same there.
type Code string

// The codes.
const (
	CodeBadRequest            = Code(chatapi.CodeBadRequest)
	CodeUnauthorized     Code = "unauthorized"
	CodeTokenInvalid          = Code(chatapi.CodeTokenInvalid)
	CodeTokenExpired          = Code(chatapi.CodeTokenExpired)
	CodeScopeMissing     Code = "scope_missing"
	CodeForbidden             = Code(chatapi.CodeForbidden)
	CodeBanned                = Code(chatapi.CodeBanned)
	CodeNotFound         Code = "not_found"
	CodeNoMessage             = Code(chatapi.CodeNoMessage)
	CodeMethodNotAllowed Code = "method_not_allowed"
	CodeTooLarge         Code = "too_large"
	CodeMediaType        Code = "unsupported_media_type"
	CodeInvalidName           = Code(chatapi.CodeInvalidName)
	CodeInvalidRoom           = Code(chatapi.CodeInvalidRoom)
	CodeInvalidMessage        = Code(chatapi.CodeInvalidMessage)
	CodeInvalidID             = Code(chatapi.CodeInvalidID)
	CodeIDConflict            = Code(chatapi.CodeIDConflict)
	CodeRateLimited           = Code(chatapi.CodeRateLimited)
	CodeInternal              = Code(chatapi.CodeInternal)
	CodeUnavailable           = Code(chatapi.CodeUnavailable)
	CodeStoreFull             = Code(chatapi.CodeStoreFull)
	CodeOverloaded            = Code(chatapi.CodeOverloaded)
)

// Codes is the closed list with each one's status and meaning.
var Codes = []struct {
	Code   Code
	Status int
	Title  string
}{
	{CodeBadRequest, http.StatusBadRequest, "The request has not the documented form"},
	{CodeUnauthorized, http.StatusUnauthorized, "No API key, or none that is taken here"},
	{CodeTokenInvalid, http.StatusUnauthorized, "No token that is taken here"},
	{CodeTokenExpired, http.StatusUnauthorized, "The token has expired: get a new one"},
	{CodeScopeMissing, http.StatusForbidden, "The key has not the scope that is needed"},
	{CodeForbidden, http.StatusForbidden, "Not in that room: a direct room of others, or none of the key's rooms"},
	{CodeBanned, http.StatusForbidden, "The token's user is banned"},
	{CodeNotFound, http.StatusNotFound, "No such path"},
	{CodeNoMessage, http.StatusNotFound, "No such message, or not any more"},
	{CodeMethodNotAllowed, http.StatusMethodNotAllowed, "The path has not that method"},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, "The body, or the batch, is too large"},
	{CodeMediaType, http.StatusUnsupportedMediaType, "The body must be application/json"},
	{CodeInvalidName, http.StatusUnprocessableEntity, "username breaks the rules of a name"},
	{CodeInvalidRoom, http.StatusUnprocessableEntity, "The room's name breaks the rules"},
	{CodeInvalidMessage, http.StatusUnprocessableEntity, "message is empty, too long, or has control characters"},
	{CodeInvalidID, http.StatusUnprocessableEntity, "id or Idempotency-Key is too long, or has control characters"},
	{CodeIDConflict, http.StatusUnprocessableEntity, "The id was used for another message"},
	{CodeRateLimited, http.StatusTooManyRequests, "Too many requests: see Retry-After"},
	{CodeInternal, http.StatusInternalServerError, "A fault of the server"},
	{CodeUnavailable, http.StatusServiceUnavailable, "The store is away; what was asked for may have happened: repeat it with the same id"},
	{CodeStoreFull, http.StatusServiceUnavailable, "The store has no room"},
	{CodeOverloaded, http.StatusServiceUnavailable, "The node has too much to do"},
}

// Problem is a problem document (RFC 9457). Detail is for developers, in English,
// and may change.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   Code   `json:"code"`
	// RetryAfter is when the same may succeed, in milliseconds from now.
	RetryAfter int64 `json:"retryAfter,omitempty"`
	// Index is the message of a batch that it is about, the first being 0, and
	// Stored are those before it, which the room has.
	Index  *int     `json:"index,omitempty"`
	Stored []Stored `json:"stored,omitempty"`
}

// failure is an error of this package's own.
type failure struct {
	code       Code
	detail     string
	retryAfter time.Duration
}

func (f failure) Error() string { return "httpapi: " + string(f.code) + ": " + f.detail }

// atIndex is an error of a message of a batch.
type atIndex struct {
	error
	index  int
	stored []Stored
}

func (e atIndex) Unwrap() error { return e.error }

// problemOf is what a client is told of an error.
func problemOf(err error) Problem {
	var p Problem
	var own failure
	if errors.As(err, &own) {
		p = Problem{Code: own.code, Detail: own.detail, RetryAfter: int64(math.Ceil(own.retryAfter.Seconds() * 1000))}
	} else {
		of := chatapi.ProblemOf(err)
		p = Problem{Code: Code(of.Code), Detail: of.Message, RetryAfter: of.RetryAfter}
	}
	var at atIndex
	if errors.As(err, &at) {
		p.Index, p.Stored = &at.index, at.stored
	}
	for _, known := range Codes {
		if known.Code == p.Code {
			p.Status, p.Title = known.Status, known.Title
		}
	}
	if p.Status == 0 { // a code that no back end can meet
		p.Code, p.Status, p.Title = CodeInternal, http.StatusInternalServerError, "A fault of the server"
	}
	if p.Status == http.StatusServiceUnavailable && p.RetryAfter == 0 {
		p.RetryAfter = 1000
	}
	p.Type = Prefix + "/docs#" + string(p.Code)
	return p
}

// refuse answers with a problem document, unless the answer has begun.
func refuse(w http.ResponseWriter, err error) Code {
	p := problemOf(err)
	if errors.As(err, new(errTold)) {
		return p.Code
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.RetryAfter > 0 { // in seconds (RFC 9110, 10.2.3)
		h.Set("Retry-After", strconv.FormatInt((p.RetryAfter+999)/1000, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="antchat"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
	return p.Code
}
