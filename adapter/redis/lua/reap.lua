-- Ends an incarnation whose lease ran out (DELIVERY, "Ownership"), a chunk per
-- call; says how much is left. Being reaped is what fences; expiry alone does
-- not. One node does it at a time, and the others are told -1; any may go on where
-- it stopped.
local who, lease, window, chunk = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if dead() then return -1 end
local reaper = redis.call('GET', base .. 'gr')
if reaper and reaper ~= inc then return -1 end
local beat = redis.call('ZSCORE', base .. 'z', who)
if beat then
  if tonumber(beat) >= ms - lease then return 0 end -- it came back
  redis.call('HSET', base .. 'n', who, 'dead')
  redis.call('ZADD', base .. 'zd', beat, who)
  redis.call('SADD', base .. 'g', who)
  redis.call('ZREM', base .. 'z', who)
elseif redis.call('SISMEMBER', base .. 'g', who) == 0 then
  return 0
end
redis.call('SET', base .. 'gr', inc, 'PX', lease)
local since = redis.call('ZSCORE', base .. 'zd', who) or num(ms)
local left = 0
for _, v in ipairs(redis.call('SRANDMEMBER', base .. 'pn:' .. who, chunk)) do
  local size, rest = string.match(v, '^(%d+):(.*)$')
  absent(string.sub(rest, 1, tonumber(size)), string.sub(rest, tonumber(size) + 1), who)
end
left = left + redis.call('SCARD', base .. 'pn:' .. who)
for _, pid in ipairs(redis.call('SRANDMEMBER', base .. 'on:' .. who, chunk)) do
  redis.call('SREM', base .. 'on:' .. who, pid)
  local okey, jkey = base .. 'o:' .. pid, base .. 'j:' .. pid
  local o = redis.call('HMGET', okey, 'node', 'gone')
  if o[1] == who then
    if not o[2] then redis.call('HSET', okey, 'gone', since) end
    redis.call('PEXPIRE', okey, 2 * window + 60000)
  end
  if redis.call('HGET', jkey, 'n') == who then redis.call('PEXPIRE', jkey, 2 * window + 60000) end
end
left = left + redis.call('SCARD', base .. 'on:' .. who)
for _, sid in ipairs(redis.call('SRANDMEMBER', base .. 'in:' .. who, chunk)) do
  redis.call('SREM', base .. 'in:' .. who, sid)
  if string.match(redis.call('GET', base .. 'i:' .. sid) or '', '^%S*') == who then redis.call('DEL', base .. 'i:' .. sid) end
end
left = left + redis.call('SCARD', base .. 'in:' .. who)
if left == 0 then
  redis.call('SREM', base .. 'g', who)
  redis.call('DEL', base .. 'gr')
  redis.call('HDEL', base .. 'x', who)
  for _, v in ipairs(redis.call('ZRANGEBYSCORE', base .. 'zd', '-inf', num(ms - 86400000), 'LIMIT', 0, 100)) do
    redis.call('ZREM', base .. 'zd', v)
    redis.call('HDEL', base .. 'n', v)
  end
end
return left
