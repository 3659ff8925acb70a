-- One entry of a room's log (DELIVERY, "Append"). Everything is read before
-- the first write, and the stream entry is written first: a script keeps what
-- it wrote before an error.
local room, candidate, dkey, digest, window = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local body, maxlen, age = ARGV[9], ARGV[10], tonumber(ARGV[11])
local pid, token, waits, step = ARGV[12], ARGV[13], ARGV[14], tonumber(ARGV[15])
local trace = ARGV[16] and ' ' .. ARGV[16] or ''

local l = lane()
if dead() then return {'dead'} end
if fenced(pid, token) then return {'fenced'} end

local bucket, dnow = math.floor(ms / window), nil
if dkey ~= '' then
  dnow = base .. 'd:' .. room .. ':' .. num(bucket)
  local a = redis.call('HGET', dnow, dkey) or redis.call('HGET', base .. 'd:' .. room .. ':' .. num(bucket - 1), dkey)
  if a then
    local had, e, q, p, ts = string.match(a, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
    if had ~= digest then return {'conflict'} end
    -- WAIT counts from the connection's last write, so a repeat writes too.
    if waits == '1' then redis.call('HSET', dnow, dkey, a) redis.call('PEXPIRE', dnow, 3 * window) end
    return {'dup', e, q, p, ts}
  end
end

local mkey, skey = base .. 'm:' .. room, base .. 's:' .. room
local m = redis.call('HMGET', mkey, 'e', 'q', 'r', 'x', 'f')
local e, q, before = m[1], tonumber(m[2] or '0'), m[1] or ''
local set = {}
if not e then
  redis.call('DEL', skey)
  e, q = candidate, 0
elseif m[3] ~= replid then
  -- Where each of the latest epochs ended, "epoch seq;…".
  local ends = (m[5] or '') .. e .. ' ' .. num(q) .. ';'
  local _, n = string.gsub(ends, ';', '')
  if n > 8 then ends = string.match(ends, '^[^;]*;(.*)$') end
  set = {'f', ends}
  e = candidate
end
q = q + 1
l.p = math.max(l.p + 1, ms * TICKS)

local id, ts = num(q) .. '-' .. num(l.p), num(ms)
local ok = redis.pcall('XADD', skey, id, 'e', e, 't', ts, 'b', body)
if type(ok) == 'table' and ok.err then
  if not string.find(ok.err, 'equal or smaller', 1, true) then return ok end
  -- The stream is ahead of its head: the head came back from older data than
  -- the stream. What the stream has cannot be told apart from what comes.
  redis.call('DEL', skey)
  redis.call('XADD', skey, id, 'e', e, 't', ts, 'b', body)
  m[4] = nil -- its expiry went with it
end
redis.call('HSET', mkey, 'e', e, 'q', num(q), 'r', replid, 'p', num(l.p), unpack(set))
save(l)
if dnow then
  redis.call('HSET', dnow, dkey, digest .. ' ' .. e .. ' ' .. num(q) .. ' ' .. num(l.p) .. ' ' .. ts)
  redis.call('PEXPIRE', dnow, 3 * window)
end
if q == 1 then
  redis.call('ZADD', base .. 'lr', 0, room)
  -- For each room that comes some are looked at, so that those whose logs have
  -- expired stay a small part of the list.
  for _, v in ipairs(redis.call('ZRANDMEMBER', base .. 'lr', 4)) do
    if redis.call('EXISTS', base .. 'm:' .. v) == 0 then redis.call('ZREM', base .. 'lr', v) end
  end
end
-- Garbage, not correctness: quiet rooms go, long ones are trimmed in steps.
if ms - tonumber(m[4] or '0') > math.min(3600000, age / 8) then
  redis.call('HSET', mkey, 'x', ts)
  redis.call('PEXPIRE', skey, age + 7200000)
  redis.call('PEXPIRE', mkey, 2 * age + 7200000)
  local old = redis.call('XRANGE', skey, '-', '+', 'COUNT', 500)
  local keep
  for _, v in ipairs(old) do
    if tonumber(v[2][4]) >= ms - age then break end
    keep = tonumber(string.match(v[1], '^%d+')) + 1
  end
  if keep then redis.call('XTRIM', skey, 'MINID', num(keep)) end
end
if q % step == 0 then redis.call('XTRIM', skey, 'MAXLEN', maxlen) end
publish('c:' .. room, 'M ' .. e .. ' ' .. num(q) .. ' ' .. num(l.p) .. ' ' .. (before == '' and '-' or before) .. ' ' .. ts .. ' ' .. l.start .. trace .. '\n' .. body)
return {'ok', e, num(q), num(l.p), ts}
