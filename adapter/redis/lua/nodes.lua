-- The incarnations with a live lease.
return redis.call('ZRANGEBYSCORE', base .. 'z', num(ms - tonumber(ARGV[4])), '+inf')
