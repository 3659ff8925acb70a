package local

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of an adapter. The zero value is a node in memory with the defaults
// named here.
type Options struct {
	// Dir is the data directory, made with mode 0700 if missing. Empty: all
	// in memory.
	Dir string
	// NodeID names the incarnation: 6 characters of [0-9A-Za-z_-]. Random
	// when empty.
	NodeID string

	// Window is how long a lost session can be recovered: 2 minutes. Negative
	// is refused, as for all durations here but Grace.
	Window time.Duration
	// Grace is how long a person whose last connection was lost still counts
	// as present: 10 seconds. Negative: not at all.
	Grace time.Duration
	// FlushInterval is how long a session's change may wait for the disk when
	// no append takes it along: 100 ms.
	FlushInterval time.Duration

	// LogMax is how many entries a room's log keeps: 10,000. Trimming works
	// in steps of a tenth of it, at most 64, by which it may be passed.
	LogMax int
	// LogAge is how long a room's log keeps an entry: 7 days. Older ones go
	// within a minute. At least Window.
	LogAge time.Duration
	// MaxLogRooms is how many rooms may have a log: 100,000. An append to
	// one more is refused with ErrFull.
	MaxLogRooms int
	// MaxBytes bounds the data file; in memory, the sum of the log's entries.
	// An append beyond it is refused with ErrFull. 0: no bound on disk, 512
	// MiB in memory.
	MaxBytes int64
	// MaxEntry bounds one logged or recoverable event in bytes, attachments
	// and texts included: 4 MiB. A larger one is refused with ErrFull.
	MaxEntry int
	// MaxRead bounds the entries of one read: 1,000; its bytes are bounded by
	// 8 MiB or one entry.
	MaxRead int
	// DedupeWindow is how long an append's key is remembered, at least: 10
	// minutes; at most twice as long.
	DedupeWindow time.Duration
	// MaxKeys is how many keys are remembered: 2,000,000, about 100 bytes of
	// memory each. An append with a key beyond it is refused with ErrFull.
	MaxKeys int

	// RecoverableMax and RecoverableBytes bound the recoverable emits kept
	// for the window: 100,000 events and 64 MiB; RecoverablePerRoom bounds
	// those of one room: 10,000. Beyond a bound the oldest go, and a session
	// that would have needed one cannot be recovered.
	RecoverableMax     int
	RecoverableBytes   int64
	RecoverablePerRoom int
	// MaxReplay bounds the missed events of one recovery: 10,000; their bytes
	// are bounded by 16 MiB. A session that missed more is not recovered.
	MaxReplay int

	// MaxSessions bounds session records, connected and lost: 200,000. Beyond
	// it the longest lost goes first; when all are connected, Create is
	// refused with ErrFull.
	MaxSessions int
	// MaxSessionData bounds a session's Data in bytes: 16 KiB.
	MaxSessionData int

	// MaxRecords and MaxRecordBytes bound counters and expiring records:
	// 100,000 and 64 MiB.
	MaxRecords     int
	MaxRecordBytes int64
	// MaxTables and MaxTableBytes bound tables: 1,000,000 and 256 MiB.
	MaxTables     int
	MaxTableBytes int64
	// MaxAsks bounds node-to-node requests handled at the same time: 1,024.
	MaxAsks int

	// Queue bounds the items that wait for the sequencer, and the appends
	// that wait for the committer, before publishers have to: 4,096.
	Queue int
	// MaxBatch bounds the appends of one commit: 1,024.
	MaxBatch int

	// Logger gets what an operator must know; nothing per message. Discarded
	// when nil.
	Logger *slog.Logger
	// Hooks observe.
	Hooks Hooks
	// Clock is the time: time.Now when nil. For tests.
	Clock func() time.Time
}

// Hooks are called, when set, from the adapter's goroutines; they must not
// block.
type Hooks struct {
	// Appended: an append has ended, so long after its call. An error that the
	// caller is to blame for (a conflict, a fenced session) is none here.
	Appended func(took time.Duration, err error)
	// Commit was tried: how many appends it held, how long it took.
	Commit func(entries int, took time.Duration, err error)
	// Trimmed entries of a room's log.
	Trimmed func(entries int)
}

func (o Options) withDefaults() (Options, error) {
	def(&o.Window, 2*time.Minute)
	def(&o.Grace, 10*time.Second)
	def(&o.FlushInterval, 100*time.Millisecond)
	def(&o.LogMax, 10_000)
	def(&o.LogAge, 7*24*time.Hour)
	def(&o.MaxLogRooms, 100_000)
	if o.Dir == "" {
		def(&o.MaxBytes, 512<<20)
	}
	def(&o.MaxEntry, 4<<20)
	def(&o.MaxRead, 1000)
	def(&o.DedupeWindow, 10*time.Minute)
	def(&o.MaxKeys, 2_000_000)
	def(&o.RecoverableMax, 100_000)
	def(&o.RecoverableBytes, 64<<20)
	def(&o.RecoverablePerRoom, 10_000)
	def(&o.MaxReplay, 10_000)
	def(&o.MaxSessions, 200_000)
	def(&o.MaxSessionData, 16<<10)
	def(&o.MaxRecords, 100_000)
	def(&o.MaxTables, 1_000_000)
	def(&o.MaxRecordBytes, 64<<20)
	def(&o.MaxTableBytes, 256<<20)
	def(&o.MaxAsks, 1024)
	def(&o.Queue, 4096)
	def(&o.MaxBatch, 1024)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	switch {
	case o.Window < 0 || o.FlushInterval < 0 || o.DedupeWindow < 0:
		return o, errors.New("local: a duration is negative")
	case o.DedupeWindow < time.Millisecond:
		return o, fmt.Errorf("local: DedupeWindow %v is below a millisecond", o.DedupeWindow)
	case o.LogAge < o.Window:
		return o, fmt.Errorf("local: LogAge %v is below Window %v", o.LogAge, o.Window)
	case o.LogMax < 0 || o.MaxLogRooms < 0 || o.MaxBytes < 0 || o.MaxEntry < 0 || o.MaxRead < 0 || o.MaxKeys < 0 ||
		o.RecoverableMax < 0 || o.RecoverableBytes < 0 || o.RecoverablePerRoom < 0 || o.MaxReplay < 0 ||
		o.MaxSessions < 0 || o.MaxSessionData < 0 || o.MaxRecords < 0 || o.MaxTables < 0 || o.MaxTableBytes < 0 || o.MaxRecordBytes < 0 || o.MaxAsks < 0 ||
		o.Queue < 0 || o.MaxBatch < 0:
		return o, errors.New("local: a limit is negative")
	}
	return o, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
