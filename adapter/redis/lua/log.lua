-- Shared by cut and read: a part of a room's log, as {head e, q, pe, fq,
-- first seq, epoch of the entry at the bound, of its neighbour, entries}.
local function readlog(room, kind, bound, limit)
  local mkey, skey = base .. 'm:' .. room, base .. 's:' .. room
  local m = redis.call('HMGET', mkey, 'e', 'q', 'pe', 'fq')
  local out = {m[1] or '', m[2] or '0', m[3] or '', m[4] or '0', '0', '', '', {}}
  local first = redis.call('XRANGE', skey, '-', '+', 'COUNT', 1)
  if #first == 0 then return out end
  out[5] = string.match(first[1][1], '^%d+')
  local function epoch(seq)
    if seq < 1 then return '' end
    local v = redis.call('XRANGE', skey, num(seq), num(seq))
    return v[1] and v[1][2][2] or ''
  end
  local b = tonumber(bound)
  if kind == 'a' then
    out[6], out[7] = epoch(b), epoch(b + 1)
    out[8] = redis.call('XRANGE', skey, num(b + 1), '+', 'COUNT', limit)
  else
    local top = '+'
    if b > 0 then
      out[6], out[7] = epoch(b - 1), epoch(b)
      if b == 1 then return out end
      top = num(b - 1)
    end
    out[8] = redis.call('XREVRANGE', skey, top, '-', 'COUNT', limit)
  end
  return out
end
