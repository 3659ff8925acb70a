-- A part of a room's log, read at one moment.
return readlog(ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
