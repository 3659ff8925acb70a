-- What a link has missed above a position, for some rooms and streams of kept
-- emits. A room is given with the epochs and the last seq that the node showed.
-- Those in which nothing has happened, nearly all, are not answered; unless whole
-- is 1, in a new era, a room whose head is as shown is one of them. It ends early
-- when it has found much: the answer begins with how many it has looked at, then
-- come place and finding in turn. cut is the last of the seqs shown that the log
-- still holds as shown.
local at, n, above, whole, limit = 8, tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])
local function any(kind, prefix)
  local keys = {}
  for i = 0, n - 1 do
    if ARGV[at + 4 * i] == kind then keys[#keys + 1] = base .. prefix .. ARGV[at + 4 * i + 1] end
  end
  return #keys > 0 and redis.call('EXISTS', unpack(keys)) > 0
end
local kept, lost = any('v', ''), any('s', 'g:')
local out = {n}
local function answer(place, finding, entries)
  out[#out + 1] = place
  out[#out + 1] = finding
  limit = limit - #entries
end
for i = 0, n - 1 do
  local kind, name, e, q = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  if kind == 'v' then
    local entries = kept and redis.call('XRANGE', base .. name, num(above + 1), '+') or {}
    if #entries > 0 then answer(i, {entries}, entries) end
  else
    local skey = base .. 's:' .. name
    local m = redis.call('HMGET', base .. 'm:' .. name, 'e', 'q', 'f')
    -- e is "epoch from;…": since which seq each epoch was shown. What is older
    -- than all of them was shown, if at all, as it stands; what is above the
    -- position was not.
    local marks = {}
    for epoch, from in string.gmatch(e, '(%S+) (%d+);') do table.insert(marks, 1, {epoch, tonumber(from)}) end
    local last = marks[1] and marks[1][1] or ''
    local gone = lost and losses(name, above) or {}
    local function as_shown(v)
      local seq, pos = string.match(v[1], '^(%d+)-(%d+)$')
      seq = tonumber(seq)
      if tonumber(pos) > above then return false, seq end
      for _, mark in ipairs(marks) do
        if seq >= mark[2] then return mark[1] == v[2][2], seq end
      end
      return true, seq
    end
    if whole or #gone > 0 or (m[1] or '') ~= last or tonumber(m[2] or '0') ~= q then
      local cut, epoch = 0, ''
      if m[1] and q > 0 then
        local top = math.min(q, tonumber(m[2]))
        local low
        for _, count in ipairs({1, 1000}) do
          for _, v in ipairs(redis.call('XREVRANGE', skey, num(top), '-', 'COUNT', count)) do
            local same, seq = as_shown(v)
            low = seq
            if same then cut, epoch = seq, v[2][2] break end
          end
          if cut > 0 then break end
        end
        if cut == 0 then
          -- Nothing of it is in the stream any more.
          if low then cut = low - 1
          else
            local to = ended(last, m[1], m[2], m[3])
            if to then cut, epoch = math.min(q, to), last end
          end
        elseif cut < top and epoch == last and m[1] == last then
          cut = top -- the stream's end was trimmed, not forked
        end
      end
      local entries = redis.call('XRANGE', skey, num(cut + 1), '+')
      answer(i, {m[1] or '', m[2] or '0', num(cut), epoch, entries, gone}, entries)
    end
  end
  if limit <= 0 then
    out[1] = i + 1
    break
  end
end
return out
