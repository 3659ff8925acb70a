-- A socket is not on this node any more. Under another op it has come back here;
-- what another node says of it is that node's.
local sid, op = ARGV[4], ARGV[5]
local who, had = string.match(redis.call('GET', base .. 'i:' .. sid) or '', '^(%S*) (.*)$')
if who == inc then
  if had ~= op then return {'ok'} end
  redis.call('DEL', base .. 'i:' .. sid)
end
redis.call('SREM', base .. 'in:' .. inc, sid)
return {'ok'}
