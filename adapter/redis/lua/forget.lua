-- A socket is not on this node any more.
local sid, op = ARGV[4], ARGV[5]
local at = redis.call('GET', base .. 'i:' .. sid)
if not at or string.match(at, ' (.*)$') ~= op then return {'ok'} end
redis.call('DEL', base .. 'i:' .. sid)
redis.call('SREM', base .. 'in:' .. inc, sid)
return {'ok'}
