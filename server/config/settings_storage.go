package config

// storageSettings are what is kept, and for how long.
var storageSettings = []*setting{
	{key: "recovery.window", field: func(c *Config) any { return &c.Recovery.Window }, initial: "2m", least: "0", most: "24h",
		about: "How long after a lost connection a client may come back and get what it missed; 0 turns recovery off."},
	{key: "recovery.offsets", field: func(c *Config) any { return &c.Recovery.Offsets }, initial: "auto", allowed: []string{"auto", "always", "never"},
		about: "Who gets an offset as the last argument of each event, which recovery needs: auto means the clients that use it."},

	{key: "log.max_messages", field: func(c *Config) any { return &c.Log.MaxMessages }, initial: "10000", least: "1", most: "100000000", unit: "messages",
		about: "Messages kept per room."},
	{key: "log.max_age", field: func(c *Config) any { return &c.Log.MaxAge }, initial: "168h", least: "1s", most: "87600h",
		about: "How long messages are kept. Not less than recovery.window."},
	{key: "log.max_rooms", field: func(c *Config) any { return &c.Log.MaxRooms }, initial: "100000", least: "1", most: "10000000", unit: "rooms",
		about: "Limit of rooms that have messages; a first message in one more is refused. With Redis its memory is the limit."},
	{key: "log.ack_replicas", field: func(c *Config) any { return &c.Log.AckReplicas }, initial: "0", least: "0", most: "10", unit: "replicas",
		about: "How many replicas of Redis must have a message before it is acknowledged."},

	{key: "dedupe.window", field: func(c *Config) any { return &c.Dedupe.Window }, initial: "10m", least: "1s", most: "168h",
		about: "How long a message's own id is remembered, so that a retry is not a second message. Not less than recovery.window."},
	{key: "dedupe.max_ids", field: func(c *Config) any { return &c.Dedupe.MaxIDs }, initial: "2000000", least: "1000", most: "1000000000", unit: "ids",
		about: "Limit of ids remembered at a time, about 100 bytes of memory each, for up to two windows; beyond it messages with an id are refused. The default is 1,600 messages a second without pause."},

	{key: "data.dir", field: func(c *Config) any { return &c.Data.Dir }, initial: "./data",
		about: "Directory of the embedded store, made if it is missing; empty keeps everything in memory only."},
	{key: "data.max_bytes", field: func(c *Config) any { return &c.Data.MaxBytes }, initial: "0", least: "0", most: "1125899906842624", unit: "bytes",
		about: "Limit of the store, beyond which messages are refused; 0 means none on disk and 512 MiB in memory."},

	{key: "presence.announce_max", field: func(c *Config) any { return &c.Presence.AnnounceMax }, initial: "200", least: "1", most: "100000", unit: "people",
		about: "In rooms of more people, joins and leaves are not told one by one; the number goes out at most once a second."},
	{key: "presence.grace", field: func(c *Config) any { return &c.Presence.Grace }, initial: "10s", least: "0", most: "10m",
		about: "How long somebody whose connection was lost still counts as present, so that a reconnect is no leaving and coming; with 0 such a person leaves at once."},
}
