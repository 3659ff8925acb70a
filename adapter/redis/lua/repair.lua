-- What a link has missed, for up to 100 rooms and streams of kept emits. A
-- room is given with the last epoch and seq that the node showed. cut is the
-- last of the seqs shown that the log still holds as shown.
local at, n = 5, tonumber(ARGV[4])
local out = {}
for _ = 1, n do
  local kind, name, e, q = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  if kind == 'v' then
    out[#out + 1] = {redis.call('XRANGE', base .. name, num(q + 1), '+')}
  else
    local skey = base .. 's:' .. name
    local m = redis.call('HMGET', base .. 'm:' .. name, 'e', 'q', 'pe', 'fq')
    local cut = q
    if not m[1] then
      cut = 0
    elseif m[1] == e then
      cut = math.min(q, tonumber(m[2]))
    elseif q > 0 then
      local v = redis.call('XREVRANGE', skey, num(q), '-', 'COUNT', 1)
      if v[1] and v[1][2][2] == e then
        cut = tonumber(string.match(v[1][1], '^%d+'))
      elseif m[3] == e then
        cut = math.min(q, tonumber(m[4]))
      else
        cut = 0
        local low
        for _, x in ipairs(redis.call('XREVRANGE', skey, num(q), '-', 'COUNT', 1000)) do
          low = tonumber(string.match(x[1], '^%d+'))
          if x[2][2] == e then cut = low break end
        end
        if cut == 0 and low then cut = low - 1 end
      end
    end
    out[#out + 1] = {m[1] or '', m[2] or '0', num(cut), redis.call('XRANGE', skey, num(cut + 1), '+')}
  end
end
return out
