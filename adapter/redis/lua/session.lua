-- The session's own record (o) and its part of this lane (j). o is in the
-- lane of the pid; has says whether that is this one.
local op, pid, has = ARGV[4], ARGV[5], ARGV[6] == '1'
local okey, jkey = base .. 'o:' .. pid, base .. 'j:' .. pid
if dead() then return {'dead'} end

if op == 'create' then
  if redis.call('EXISTS', okey) == 1 then return {'conflict'} end
  redis.call('HSET', okey, 'ns', ARGV[7], 'sid', ARGV[8], 'user', ARGV[9], 'data', ARGV[10], 'token', 1, 'node', inc, 'c', num(ms))
  redis.call('SADD', base .. 'on:' .. inc, pid)
  return {'ok', '1'}
end

if op == 'claim' then
  local ns, window, lease, token, created = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10], ARGV[11]
  local result = {'ok', token, '', '', ''}
  if has then
    local o = redis.call('HMGET', okey, 'ns', 'sid', 'user', 'data', 'token', 'node', 'gone', 'c')
    if not o[1] then return {'none'} end
    if o[1] ~= ns then return {'other'} end
    local gone = tonumber(o[7] or '0')
    if gone == 0 then
      -- Not told, but its node may be gone: then it was lost at the last beat.
      local beat = redis.call('ZSCORE', base .. 'zd', o[6]) or redis.call('ZSCORE', base .. 'z', o[6])
      if beat and tonumber(beat) < ms - lease then gone = tonumber(beat) end
    end
    if gone > 0 and ms - gone > window then
      redis.call('DEL', okey, jkey)
      return {'expired'}
    end
    -- By the clock, so that a claim which the store loses is not made again with
    -- the same token: its owner would end the session of the next one.
    token, created = num(math.max(tonumber(o[5]) + 1, ms)), o[8] or '0'
    redis.call('HSET', okey, 'token', token, 'node', inc, 'gone', num(ms))
    redis.call('PERSIST', okey)
    redis.call('PEXPIRE', okey, 2 * window + 60000)
    redis.call('SREM', base .. 'on:' .. o[6], pid)
    redis.call('SADD', base .. 'on:' .. inc, pid)
    publish('n:' .. string.sub(o[6], 1, 6), 'F ' .. token .. ' ' .. #ns .. '\n' .. ns .. o[2])
    result = {'ok', token, o[2], o[3], o[4]}
  end
  local was = redis.call('HMGET', jkey, 't', 'n')
  if not was[1] then
    -- Never here, or lost with an era that began after the session did.
    local start = tonumber(redis.call('HGET', lanekey, 'start') or '0')
    if start - JUMP * TICKS > tonumber(created) * TICKS then return {'none'} end
  end
  if not was[1] or tonumber(was[1]) < tonumber(token) then
    redis.call('HSET', jkey, 't', token, 'n', inc)
    redis.call('PEXPIRE', jkey, 2 * window + 60000)
    if was[2] then redis.call('SREM', base .. 'on:' .. was[2], pid) end
    redis.call('SADD', base .. 'on:' .. inc, pid)
  end
  result[6], result[7] = redis.call('HGETALL', jkey), created
  return result
end

-- Everything else compares the token.
local token = ARGV[7]
local have = has and redis.call('HGET', okey, 'token') or redis.call('HGET', jkey, 't')
if have and tonumber(have) > tonumber(token) then return {'fenced'} end

if op == 'restore' then
  -- After the store lost something: what this node knows is written again.
  if has then
    if not have then redis.call('HSET', okey, 'ns', ARGV[8], 'sid', ARGV[9], 'user', ARGV[10], 'token', token, 'c', num(ms)) end
    redis.call('HSET', okey, 'data', ARGV[11], 'node', inc, 'token', token)
    redis.call('HDEL', okey, 'gone')
    redis.call('PERSIST', okey)
  end
  redis.call('HSET', jkey, 't', token, 'n', inc)
  for i = 12, #ARGV, 2 do redis.call('HSETNX', jkey, ARGV[i], ARGV[i + 1]) end
  redis.call('PERSIST', jkey)
  redis.call('SADD', base .. 'on:' .. inc, pid)
  return {'ok'}
end
if op == 'join' then
  if redis.call('HSETNX', jkey, 't', token) == 1 then
    redis.call('HSET', jkey, 'n', inc)
    redis.call('SADD', base .. 'on:' .. inc, pid)
  end
  for i = 9, #ARGV do redis.call('HSETNX', jkey, 'r:' .. ARGV[i], ARGV[8]) end
  return {'ok'}
end
if op == 'leave' then
  for i = 8, #ARGV do redis.call('HDEL', jkey, 'r:' .. ARGV[i]) end
  return {'ok'}
end
if op == 'gone' or op == 'end' then redis.call('SREM', base .. 'on:' .. inc, pid) end
if not have then return {'fenced'} end
if op == 'save' then
  redis.call('HSET', okey, 'data', ARGV[8])
elseif op == 'here' then
  if has then redis.call('HDEL', okey, 'gone') redis.call('PERSIST', okey) end
  redis.call('PERSIST', jkey)
  redis.call('SADD', base .. 'on:' .. inc, pid)
elseif op == 'gone' then
  local window = tonumber(ARGV[8])
  if has then
    redis.call('HSETNX', okey, 'gone', num(ms))
    redis.call('PEXPIRE', okey, 2 * window + 60000)
  end
  redis.call('PEXPIRE', jkey, 2 * window + 60000)
elseif op == 'end' then
  redis.call('DEL', jkey)
  if has then redis.call('DEL', okey) end
end
return {'ok'}
