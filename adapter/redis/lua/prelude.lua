-- Opens every script. KEYS[1] is the lane's hash; all other keys and channels
-- are built from ARGV[1], the lane's prefix, and so lie in the same slot.
-- ARGV[2] is the calling incarnation, ARGV[3] PUBLISH or SPUBLISH.
local base, inc, PUB = ARGV[1], ARGV[2], ARGV[3]
local lanekey = KEYS[1]
local TICKS = 2048 -- positions per millisecond
local JUMP = 20000 -- milliseconds that a new era is ahead of the old one

local t = redis.call('TIME')
local ms = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')

local function num(v) return string.format('%.0f', v) end
local function publish(channel, payload) return redis.call(PUB, base .. channel, payload) end
local function dead() return redis.call('HGET', base .. 'n', inc) == 'dead' end

-- DELIVERY, "Append", step 1. Reads only: save writes.
local function lane()
  local v = redis.call('HMGET', lanekey, 'p', 'r', 'start', 'forks')
  local l = {p = tonumber(v[1] or '0'), start = v[3] or '0', forks = v[4] or ''}
  if v[2] ~= replid then
    local fork = l.p
    l.p = math.max(l.p, ms * TICKS) + JUMP * TICKS
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
