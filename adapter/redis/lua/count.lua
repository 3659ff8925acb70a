-- A counter that starts anew after its window.
local v = redis.call('INCRBY', base .. 'x:c:' .. ARGV[4], ARGV[5])
if redis.call('PTTL', base .. 'x:c:' .. ARGV[4]) < 0 then redis.call('PEXPIRE', base .. 'x:c:' .. ARGV[4], ARGV[6]) end
return v
