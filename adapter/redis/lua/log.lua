-- Shared by cut and read: a part of a room's log, as {head e, q, first seq,
-- whether the epoch asked for is known, the last seq that is the same in it and
-- in the log, what was lost since, entries}.
local function readlog(room, kind, bound, limit, epoch)
  local mkey, skey = base .. 'm:' .. room, base .. 's:' .. room
  local m = redis.call('HMGET', mkey, 'e', 'q', 'f')
  local head, q, b = m[1], tonumber(m[2] or '0'), tonumber(bound)
  if epoch == '' then epoch = head end
  local first = redis.call('XRANGE', skey, '-', '+', 'COUNT', 1)
  local function epochat(seq)
    local v = redis.call('XRANGE', skey, num(seq), num(seq))
    return v[1] and v[1][2][2], v[1] and tonumber(string.match(v[1][1], '%d+$'))
  end
  local last = ended(epoch, head, q, m[3])
  local known = last and '1' or '0'
  if not last and head then
    -- An epoch that is gone whole, or one of long ago. The loss of the first
    -- says where it began; what was there before it is what stands below, but
    -- for what other losses that reach as far have taken, and what is younger
    -- than the loss.
    local gone, began, start = losses(room, 0), nil, nil
    for _, v in ipairs(gone) do
      if v[1] == epoch then began, start = tonumber(v[2]), tonumber(v[5]) end
    end
    last = began and began - 1 or 0
    for _, v in ipairs(gone) do
      if began and tonumber(v[3]) >= began - 1 then last = math.min(last, tonumber(v[2]) - 1) end
    end
    local top = began and math.min(last, b) or b
    for _, v in ipairs(redis.call('XREVRANGE', skey, num(math.min(top, q)), '-', 'COUNT', 1000)) do
      local seq, pos = string.match(v[1], '^(%d+)-(%d+)$')
      -- Without a loss: what was trimmed away may have been of it.
      if v[2][2] == epoch or start and tonumber(pos) < start then last = tonumber(seq) break end
      last = tonumber(seq) - 1
    end
    if last > 0 and last == b and epochat(b) == epoch then known = '1' end
  end
  local out = {head or '', m[2] or '0', #first > 0 and string.match(first[1][1], '^%d+') or '0', known, '0', {}, {}}
  if kind == 'a' then
    local from = math.min(b, last or 0)
    local _, pos = epochat(from)
    out[5] = num(from)
    out[6] = losses(room, pos or 0)
    out[7] = redis.call('XRANGE', skey, num(from + 1), '+', 'COUNT', limit)
  else
    -- What is below the bound counts: the message at it may be lost itself.
    local same = math.max(b - 1, 0)
    out[5] = num(math.min(same, last or 0))
    if b ~= 1 then
      out[7] = redis.call('XREVRANGE', skey, b > 0 and num(same) or '+', '-', 'COUNT', limit)
    end
  end
  return out
end
