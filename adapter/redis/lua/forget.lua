-- A socket is not on this node any more.
local node, sid = ARGV[4], ARGV[5]
if redis.call('GET', base .. 'i:' .. sid) == node then redis.call('DEL', base .. 'i:' .. sid) end
redis.call('SREM', base .. 'in:' .. inc, sid)
return {'ok'}
