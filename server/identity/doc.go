// Package identity says who a client is by the token that it shows: a JWT
// (RFC 7519) of an issuer that the operator names, signed with a shared secret
// or with one of the issuer's published keys (RFC 7517).
//
// # Flow
//
// [New] makes an [Authenticator] of [Options]. The layer above hands it the text
// of a token and gets an [Identity], which holds the claims, or an error that
// wraps one of the Err variables. Keys at an address, which the issuer's OpenID
// configuration may name, are fetched when the first token needs them, kept, and
// fetched again when they are old or a token names one that is not among them, at
// most once an interval: tokens cannot make the server ask more often than that.
//
// # What it must not know
//
// Sockets, rooms, rights, where a token came from. It writes no token to a log or
// into an error.
package identity
