-- The beat (DELIVERY, "Link"): renews the lease unless the incarnation is
-- dead, and comes back on the link. Says who is overdue or half reaped.
local node, lease = ARGV[4], tonumber(ARGV[5])
local l = lane()
if dead() then return {'dead'} end
save(l)
redis.call('ZADD', base .. 'z', ms, inc)
publish('n:' .. node, 'B ' .. num(l.p) .. ' ' .. l.start .. '\n')
local overdue = redis.call('ZRANGEBYSCORE', base .. 'z', '-inf', '(' .. num(ms - lease), 'LIMIT', 0, 8)
return {'ok', num(l.p), l.start, overdue, redis.call('SRANDMEMBER', base .. 'g', 1)}
