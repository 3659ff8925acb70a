// Package chatapi is the chat's face: the event vocabulary of docs/protocol.md
// on the root namespace. It decodes requests, asks package chat, and tells
// people what it answered.
//
//	sio := socketio.NewServer(a, socketio.Options{
//		Recovery: true, Views: chatapi.Views, Secrets: chatapi.Secrets, ErrorPayload: chatapi.ErrorPayload,
//	})
//	api, err := chatapi.New(sio.Of("/"), a, chatapi.Options{})
//	defer api.Close(ctx)
//
// # Flow
//
// A request is handled on its socket's own goroutine, in the order of arrival,
// and returns its acknowledgement or an error that [ErrorPayload] turns into a
// code of the closed list in errors.go. What others get of it comes back from
// the adapter's sequencer: a logged message is rendered once per vocabulary in
// use (render.go), a change of presence once per room (presence.go). Expiring
// typing and the numbers of big rooms belong to the one goroutine that an
// [API] owns.
//
// # What it must not know
//
// Rules: what a name may be, when a join is announced, what a page of history
// holds are package chat's. Configuration: main maps it to [Options]. Engine.IO,
// HTTP and the store.
package chatapi
