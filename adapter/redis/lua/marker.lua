-- The marker of a repair or an audit: everything up to C is ahead of it on the
-- link. low is the caller's own position: the lane never falls behind it.
local node, op, low = ARGV[4], ARGV[5], tonumber(ARGV[6])
local l = lane()
if dead() then return {'dead'} end
l.p = math.max(l.p, low)
save(l)
publish('n:' .. node, 'Z ' .. op .. ' ' .. num(l.p) .. ' ' .. l.start .. '\n')
return {'ok', num(l.p), l.start}
