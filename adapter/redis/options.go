package redis

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
)

// Options of an adapter. URL is required; a zero field means the default
// named here.
type Options struct {
	// URL says where Redis is, in one of the forms
	//
	//	redis://[user[:password]@]host[:port][/db]
	//	redis+cluster://[user[:password]@]host[:port][,host[:port]…]
	//	redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/master[/db][?user=…&password=…]
	//
	// and the same with rediss for TLS. A Sentinel's own user and password
	// stand in the query. Databases keep keys apart, not channels: use Prefix.
	URL string
	// Prefix keeps applications apart that share a Redis: at most 64 of
	// [0-9A-Za-z_.:-]. Keys and channels begin with "ac1:" and the prefix; 1
	// is the version of what is kept there.
	Prefix string
	// CAFile is a file of PEM certificates that TLS trusts instead of the
	// system's.
	CAFile string
	// NodeID names the node: 6 characters of [0-9A-Za-z_-]. Random when empty.
	NodeID string
	// Lanes is the fleet's number of lanes: 4 on a Cluster, else 1. The first
	// node of a fleet fixes it; a node set to another number is never ready.
	Lanes int
	// AckReplicas is how many replicas must hold an entry before Append
	// answers: 0, the primary alone. AckTimeout bounds that wait: 1 s.
	AckReplicas int
	AckTimeout  time.Duration

	// Window is how long a lost session can be recovered: 2 minutes.
	Window time.Duration
	// Grace is how long a person whose last connection was lost still counts
	// as present: 10 s; none when negative.
	Grace time.Duration
	// Lease is how long a node counts as alive after its last beat, in
	// Redis's time: 10 s. Beat is the time between beats: 2 s. A beat waits for
	// its answer for a third of a Lease, and for a Beat at least. A link on which
	// nothing came for 3 s, while Redis answered beats, is lost.
	Lease, Beat time.Duration
	// Linger is how long a room stays subscribed after its last local socket
	// has left: 30 s.
	Linger time.Duration
	// Audit is the time between two looks at the heads of all subscribed
	// rooms: 1 minute.
	Audit time.Duration
	// Timeout bounds a wait for Redis that the caller's context does not
	// bound earlier: 5 s.
	Timeout time.Duration

	// LogMax is how many entries a room's log keeps: 10,000. It may be passed
	// by a tenth, at most 64.
	LogMax int
	// LogAge is how long an entry is kept: 7 days. A room that nobody writes
	// to for twice as long is forgotten whole.
	LogAge time.Duration
	// DedupeWindow is how long an append's key is remembered, at least: 10
	// minutes; at most twice as long. The whole fleet must have the same.
	DedupeWindow time.Duration
	// MaxEntry bounds one event in bytes: 4 MiB. A larger one is refused with
	// ErrFull.
	MaxEntry int
	// MaxRead bounds the entries of one read: 1,000.
	MaxRead int
	// RecoverablePerRoom bounds the recoverable emits kept for one room, and
	// those kept for one namespace as a whole: 10,000.
	RecoverablePerRoom int
	// MaxReplay bounds the missed events of one recovery: 10,000; their bytes
	// are bounded by 16 MiB.
	MaxReplay int
	// MaxSessionData bounds a session's Data in bytes: 16 KiB.
	MaxSessionData int
	// MaxAsks bounds node-to-node requests handled at the same time: 20,000;
	// their bytes are bounded by 64 MiB, and one by 16 MiB.
	MaxAsks int
	// Queue bounds what waits for the sequencer, and what waits for Redis in
	// each lane, before publishers have to: 4,096. Batch bounds what one
	// round trip takes along: 256, and 1 MiB unless one alone is larger; fewer
	// while Redis is slow.
	Queue, Batch int
	// QueueBytes bounds the bytes of what waits for Redis in each lane: 64 MiB. One
	// command more may wait, so it may be passed by MaxEntry.
	QueueBytes int
	// Buffer bounds the events that a link keeps while it is repaired: 16,384
	// and 64 MiB; beyond it the repair takes another round.
	Buffer int
	// Connections bounds the connections for reads and cuts to each Redis
	// node: 16. Four more per lane carry the log, the link, beats and repairs,
	// and two in all the node-to-node requests.
	Connections int

	// Logger gets what an operator must know; nothing per message. Discarded
	// when nil.
	Logger *slog.Logger
	// Hooks observe.
	Hooks Hooks
}

// Hooks are called, when set, from the adapter's goroutines; they must not
// block.
type Hooks struct {
	// Appended: an append has ended, so long after its call. An error that the
	// caller is to blame for (a conflict, a fenced session) is none here.
	Appended func(took time.Duration, err error)
	// Batch went to Redis: how many commands, how long it took.
	Batch func(commands int, took time.Duration, err error)
	// Call was one round trip of its own: a read, a join, a lease. An answer that
	// Redis has not got the script is no error here.
	Call func(took time.Duration, err error)
	// LinkLost says that a lane's link was lost, and Repaired that it is
	// whole again, after how long and with how many missed events.
	LinkLost func(lane int, reason string)
	Repaired func(lane int, took time.Duration, events int)
	// Gap is a loss that members were told of.
	Gap func(entries uint64)
	// Dropped counts events that were given up: ephemeral ones whose fate is
	// unknown, and messages that make no sense.
	Dropped func(why string)
	// Fenced says that this node had been reaped.
	Fenced func()
}

const idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"

func (o Options) withDefaults() (Options, error) {
	def(&o.AckTimeout, time.Second)
	def(&o.Window, 2*time.Minute)
	def(&o.Grace, 10*time.Second)
	def(&o.Lease, 10*time.Second)
	def(&o.Beat, 2*time.Second)
	def(&o.Linger, 30*time.Second)
	def(&o.Audit, time.Minute)
	def(&o.Timeout, 5*time.Second)
	def(&o.LogMax, 10_000)
	def(&o.LogAge, 7*24*time.Hour)
	def(&o.DedupeWindow, 10*time.Minute)
	def(&o.MaxEntry, 4<<20)
	def(&o.MaxRead, 1000)
	def(&o.RecoverablePerRoom, 10_000)
	def(&o.MaxReplay, 10_000)
	def(&o.MaxSessionData, 16<<10)
	def(&o.MaxAsks, 20_000)
	def(&o.Queue, 4096)
	def(&o.Batch, 256)
	def(&o.QueueBytes, 64<<20)
	def(&o.Buffer, 16_384)
	def(&o.Connections, 16)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, d := range []time.Duration{
		o.AckTimeout, o.Window, o.Lease, o.Beat, o.Linger, o.Audit, o.Timeout, o.LogAge, o.DedupeWindow,
	} {
		if d < time.Millisecond {
			return o, errors.New("redis: a duration is below a millisecond")
		}
	}
	for _, n := range []int{
		o.LogMax, o.MaxEntry, o.MaxRead, o.RecoverablePerRoom, o.MaxReplay, o.MaxSessionData, o.MaxAsks,
		o.Queue, o.QueueBytes, o.Batch, o.Buffer, o.Connections,
	} {
		if n < 1 {
			return o, errors.New("redis: a limit is below 1")
		}
	}
	switch {
	case o.AckReplicas < 0 || o.Lanes < 0:
		return o, errors.New("redis: a number is negative")
	case len(o.Prefix) > 64 || strings.Trim(o.Prefix, idAlphabet+".:") != "":
		return o, fmt.Errorf("redis: prefix %q: allowed are 64 of [0-9A-Za-z_.:-]", o.Prefix)
	case o.NodeID != "" && (len(o.NodeID) != 6 || strings.Trim(o.NodeID, idAlphabet) != ""):
		return o, fmt.Errorf("redis: NodeID %q has not 6 characters of [0-9A-Za-z_-]", o.NodeID)
	case o.Lease < 2*o.Beat:
		return o, fmt.Errorf("redis: Lease %v is below twice the Beat %v", o.Lease, o.Beat)
	}
	return o, nil
}

// fixLanes sets how many lanes there are, once the URL has said what kind of
// Redis it is.
func (o *Options) fixLanes(f form) error {
	if o.Lanes == 0 {
		o.Lanes = 1
		if f == cluster {
			o.Lanes = adapter.MaxLanes
		}
	}
	if o.Lanes > adapter.MaxLanes {
		return fmt.Errorf("redis: %d lanes, %d are allowed", o.Lanes, adapter.MaxLanes)
	}
	return nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
