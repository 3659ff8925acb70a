// Package webhook tells addresses of a back end what happens: a signed POST for
// each event. [Sender.Offer] never blocks; each address has a queue and a goroutine
// of its own, so none delays another, or the chat.
//
// It must not know what an event means.
package webhook
