-- A cut in this lane (DELIVERY, "Cut"): everything up to C is the past. The
-- marker on the node's channel carries C to the sequencer in the order of the
-- link; the answer carries C and what was read up to it.
local node, op, pid, token, mode, sid, ns = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local nrooms, at = tonumber(ARGV[11]), 12
local l = lane()
if dead() then return {'dead'} end
if fenced(pid, token) then return {'fenced'} end
local C = num(l.p)
local jkey = base .. 'j:' .. pid
local rooms, heads = {}, {}
for i = 1, nrooms do
  local r = {full = ARGV[at], short = ARGV[at + 1], fresh = ARGV[at + 2] == '1'}
  at = at + 3
  rooms[i] = r
  local m = redis.call('HMGET', base .. 'm:' .. r.full, 'e', 'q')
  heads[i] = (m[1] or '-') .. ' ' .. (m[2] or '0')
end
local result = {'ok', C, l.start, l.forks}

if mode == 'resume' then
  local from, limit, bytes = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local joined = redis.call('HGETALL', jkey)
  local j = {}
  for i = 1, #joined, 2 do j[joined[i]] = joined[i + 1] end
  if not j.t then return {'gone'} end
  local out = {}
  -- Newest first, from the tail back to a position; whole: nothing between
  -- there and the tail can be missing.
  local function back(stream, low, log)
    local top, found = '+', {}
    while true do
      local page = redis.call('XREVRANGE', base .. stream, top, '-', 'COUNT', 64)
      for _, v in ipairs(page) do
        local a, b = string.match(v[1], '^(%d+)-(%d+)$')
        local pos = tonumber(log and b or a)
        if pos <= low then return found, true end
        limit = limit - 1
        bytes = bytes - #v[2][#v[2]]
        if limit < 0 or bytes < 0 then return nil end
        found[#found + 1] = v
        top = '(' .. v[1]
      end
      if #page < 64 then return found, false end
    end
  end
  local function take(stream, name, low)
    local found, reached = back(stream, low, false)
    if not found then return 'much' end
    if not reached and tonumber(redis.call('HGET', base .. 'vt', stream) or '0') > low then return 'trimmed' end
    if #found > 0 then out[#out + 1] = {'v', name, found} end
  end
  for _, r in ipairs(rooms) do
    local own = tonumber(j['r:' .. r.short] or '0')
    local low = math.max(from, own)
    local found, reached = back('s:' .. r.full, low, true)
    if not found then return {'much'} end
    if not reached then
      if #found > 0 then
        reached = string.match(found[#found][1], '^%d+') == '1'
      else
        reached = tonumber(redis.call('HGET', base .. 'm:' .. r.full, 'p') or '0') <= low
      end
    end
    if not reached then return {'trimmed'} end
    if #found > 0 then out[#out + 1] = {'s', r.short, found} end
    local bad = take('v:' .. r.full, r.short, low)
    if bad then return {bad} end
    local gone = losses(r.full, low)
    if #gone > 0 then out[#out + 1] = {'g', r.short, gone} end
  end
  local low = math.max(from, tonumber(j.s or '0'))
  local bad = take('v:' .. sid, '', low)
  if not bad and ns ~= '' then bad = take('w:' .. ns, '*', low) end
  if bad then return {bad} end
  result[5] = out
  result[6] = joined
elseif mode == 'add' then
  if pid ~= '' then
    redis.call('HSET', jkey, 't', token, 'n', inc, 's', C)
    redis.call('SADD', base .. 'on:' .. inc, pid)
  end
else
  if pid ~= '' then
    -- A room joined again keeps its first cut: the socket has been a member
    -- since.
    for _, r in ipairs(rooms) do redis.call(r.fresh and 'HSET' or 'HSETNX', jkey, 'r:' .. r.short, C) end
    if nrooms > 0 then
      redis.call('HSETNX', jkey, 't', token)
      redis.call('HSETNX', jkey, 'n', inc)
      redis.call('SADD', base .. 'on:' .. inc, pid)
    end
  end
  if mode == 'read' then result[5] = readlog(rooms[1].full, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]) end
end
if sid ~= '' and mode ~= 'join' and mode ~= 'read' then
  redis.call('SET', base .. 'i:' .. sid, inc .. ' ' .. op)
  redis.call('SADD', base .. 'in:' .. inc, sid)
end
save(l)
publish('n:' .. node, 'C ' .. op .. ' ' .. C .. ' ' .. l.start .. '\n' .. table.concat(heads, ';'))
return result
