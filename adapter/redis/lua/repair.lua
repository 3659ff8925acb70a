-- What a link has missed above a position, for up to 100 rooms and streams of
-- kept emits. A room is given with the epochs and the last seq that the node
-- showed. cut is the last of the seqs shown that the log still holds as shown.
local at, n, above = 6, tonumber(ARGV[4]), tonumber(ARGV[5])
local out = {}
for _ = 1, n do
  local kind, name, e, q = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  if kind == 'v' then
    out[#out + 1] = {redis.call('XRANGE', base .. name, num(above + 1), '+')}
  else
    local skey = base .. 's:' .. name
    local m = redis.call('HMGET', base .. 'm:' .. name, 'e', 'q', 'f')
    -- e is "epoch from;…": since which seq each epoch was shown. What is older
    -- than all of them was shown, if at all, as it stands; what is above the
    -- position was not.
    local marks = {}
    for epoch, from in string.gmatch(e, '(%S+) (%d+);') do table.insert(marks, 1, {epoch, tonumber(from)}) end
    local last = marks[1] and marks[1][1] or ''
    local function as_shown(v)
      local seq, pos = string.match(v[1], '^(%d+)-(%d+)$')
      seq = tonumber(seq)
      if tonumber(pos) > above then return false, seq end
      for _, mark in ipairs(marks) do
        if seq >= mark[2] then return mark[1] == v[2][2], seq end
      end
      return true, seq
    end
    local cut, at = 0, ''
    if m[1] and q > 0 then
      local top = math.min(q, tonumber(m[2]))
      local low
      for _, count in ipairs({1, 1000}) do
        for _, v in ipairs(redis.call('XREVRANGE', skey, num(top), '-', 'COUNT', count)) do
          local same, seq = as_shown(v)
          low = seq
          if same then cut, at = seq, v[2][2] break end
        end
        if cut > 0 then break end
      end
      if cut == 0 then
        -- Nothing of it is in the stream any more.
        if low then cut = low - 1
        else
          local to = ended(last, m[1], m[2], m[3])
          if to then cut, at = math.min(q, to), last end
        end
      elseif cut < top and at == last and m[1] == last then
        cut = top -- the stream's end was trimmed, not forked
      end
    end
    out[#out + 1] = {m[1] or '', m[2] or '0', num(cut), at, redis.call('XRANGE', skey, num(cut + 1), '+'), losses(name, above)}
  end
end
return out
