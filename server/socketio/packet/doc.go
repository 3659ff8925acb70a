// Package packet reads and writes Socket.IO packets: protocol 4 (Socket.IO 1
// and 2, over Engine.IO revision 3), protocol 5 (Socket.IO 3 and 4, over
// revision 4), and the msgpack parser that clients may choose instead.
//
// A [Decoder] turns the messages of one connection into packets and waits for
// the attachments of binary ones. All forms meet in [Packet], whose Data stays
// raw JSON: a packet that is only passed on is checked once, by [Check], and
// never built into Go values. The append functions write a packet's forms
// without allocating when the destination has room, since a broadcast is
// encoded on its way to a thousand sockets.
//
// Everything read is taken as hostile: what is accepted is valid JSON in valid
// UTF-8 of bounded depth, with each attachment used exactly once, so that
// passing it on cannot break or overload a receiver. Reading a message
// allocates a small multiple of its size at most.
//
// The package knows bytes only: no connections, namespaces or handlers.
package packet
