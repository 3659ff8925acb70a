-- Opens every script. KEYS[1] is the lane's hash; all other keys and channels
-- are built from ARGV[1], the lane's prefix, and so lie in the same slot.
-- ARGV[2] is the calling incarnation, ARGV[3] PUBLISH or SPUBLISH.
local base, inc, PUB = ARGV[1], ARGV[2], ARGV[3]
local lanekey = KEYS[1]
local TICKS = 2048 -- positions per millisecond
-- Milliseconds that a new era begins ahead of the clock, and ahead of the last
-- position known. The first must not add up: an era of which nothing is left
-- was ahead by the same, and the next one must be ahead of it. GROWN is how far
-- a lane comes only with the clock.
local JUMP, MARGIN, GROWN = 20000, 20, 1000000

local t = redis.call('TIME')
local ms = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local replid -- set by lane: INFO costs as much as a script's other calls together

local function num(v) return string.format('%.0f', v) end
local function publish(channel, payload) return redis.call(PUB, base .. channel, payload) end
local function dead() return redis.call('HGET', base .. 'n', inc) == 'dead' end

-- DELIVERY, "Append", step 1. Reads only: save writes.
local function lane()
  replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  local v = redis.call('HMGET', lanekey, 'p', 'r', 'start', 'forks')
  local l = {p = tonumber(v[1] or '0'), start = v[3] or '0', forks = v[4] or ''}
  if v[2] ~= replid then
    local fork = l.p
    -- A clock that is behind the one that positions were made by says nothing
    -- of those that are not known here.
    local behind = fork - tonumber(l.start) > GROWN and ms * TICKS < fork
    l.p = math.max(fork + (behind and JUMP or MARGIN) * TICKS, (ms + JUMP) * TICKS)
    l.start = num(l.p)
    l.forks = l.forks .. num(fork) .. '-' .. l.start .. ';'
    local _, n = string.gsub(l.forks, ';', '')
    if n > 8 then l.forks = string.match(l.forks, '^[^;]*;(.*)$') end
    l.new = true
  end
  return l
end

local function save(l)
  if l.new then
    redis.call('HSET', lanekey, 'p', num(l.p), 'r', replid, 'start', l.start, 'forks', l.forks)
  else
    redis.call('HSET', lanekey, 'p', num(l.p))
  end
end

-- A session's token in this lane, or nil. A newer one fences the caller.
local function fenced(pid, token)
  if pid == '' then return false end
  local have = redis.call('HGET', base .. 'j:' .. pid, 't')
  return have and tonumber(have) > tonumber(token)
end

-- The seq at which an epoch of a room ended, as its log stands: ends is the
-- room's list of earlier ones. nil when it is none that the room knows.
local function ended(epoch, head, q, ends)
  if head and epoch == head then return tonumber(q) end
  for e, seq in string.gmatch(ends or '', '(%S+) (%d+);') do
    if e == epoch then return tonumber(seq) end
  end
end

-- What a room has lost (g:room: epoch → "from to pos start", where start is of
-- the era in which it was first noticed), noticed above a position, as {epoch,
-- from, to, pos, start}.
local function losses(room, above)
  local all, out = redis.call('HGETALL', base .. 'g:' .. room), {}
  for i = 1, #all, 2 do
    local from, to, pos, start = string.match(all[i + 1], '^(%d+) (%d+) (%d+) (%d+)$')
    if tonumber(pos) > above then out[#out + 1] = {all[i], from, to, pos, start} end
  end
  return out
end
