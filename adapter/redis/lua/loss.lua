-- What a node knows to have been given out in rooms, and to be gone: room,
-- epoch, from, to. What the room's log does not hold is noted in g:room and
-- published, each time that more of it becomes known (DELIVERY, "Epoch"). The
-- node may be reaped by now, or wrong: what stands is no loss.
local keep = tonumber(ARGV[4])
local l = lane()
for i = 5, #ARGV, 4 do
  local room, epoch, from, to = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local gkey = base .. 'g:' .. room
  local m = redis.call('HMGET', base .. 'm:' .. room, 'e', 'q', 'f')
  local last = ended(epoch, m[1], m[2], m[3])
  if last then
    -- An epoch's numbers are dense: where it ends says what is gone.
    from = last + 1
  elseif m[1] then
    local v = redis.call('XRANGE', base .. 's:' .. room, num(to), num(to))
    if v[1] and v[1][2][2] == epoch then to = 0 end
  end
  if from <= to then
    local had = redis.call('HGET', gkey, epoch)
    local f, t, start = string.match(had or '', '^(%d+) (%d+) %d+ (%d+)$')
    local low, high = math.min(from, tonumber(f or from)), math.max(to, tonumber(t or to))
    if not had or low < tonumber(f) or high > tonumber(t) then
      l.p = math.max(l.p + 1, ms * TICKS)
      redis.call('HSET', gkey, epoch, num(low) .. ' ' .. num(high) .. ' ' .. num(l.p) .. ' ' .. (start or l.start))
      redis.call('PEXPIRE', gkey, keep)
      if redis.call('HLEN', gkey) > 16 then
        local oldest, at
        for _, v in ipairs(losses(room, 0)) do
          if not at or tonumber(v[4]) < at then oldest, at = v[1], tonumber(v[4]) end
        end
        redis.call('HDEL', gkey, oldest)
      end
      save(l)
      publish('c:' .. room, 'G ' .. epoch .. ' ' .. num(low) .. ' ' .. num(high) .. ' ' .. num(l.p) .. ' ' .. l.start .. '\n')
    end
  end
end
save(l)
return {'ok'}
