-- The first node of a fleet fixes the number of lanes; lane 0 keeps it.
redis.call('HSETNX', base .. 'cfg', 'lanes', ARGV[4])
return redis.call('HGET', base .. 'cfg', 'lanes')
