-- One recoverable emit: kept for the window, then published. The emitting node
-- numbers its emits, so that one whose answer was lost is not made twice.
local stream, channel, sid, n, keep, body, max = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])
local l = lane()
if dead() then return {'dead'} end
if tonumber(redis.call('HGET', base .. 'x', inc) or '0') >= tonumber(n) then return {'dup'} end
l.p = math.max(l.p + 1, ms * TICKS)
local vkey = base .. stream
redis.call('XADD', vkey, 'MINID', '~', num((ms - keep) * TICKS), num(l.p) .. '-0', 'b', body)
save(l)
redis.call('HSET', base .. 'x', inc, n)
redis.call('PEXPIRE', vkey, keep)
local len = redis.call('XLEN', vkey)
if len >= max + 64 then
  -- What goes before its time is noted: who needs it cannot be recovered.
  local first = redis.call('XRANGE', vkey, '-', '+', 'COUNT', len - max)
  local last = string.match(first[#first][1], '^%d+')
  redis.call('HSET', base .. 'vt', stream, last)
  -- What was trimmed before all that is kept says nothing any more.
  local some = redis.call('HRANDFIELD', base .. 'vt', 4, 'WITHVALUES')
  for i = 1, #some, 2 do
    if tonumber(some[i + 1]) < (ms - keep) * TICKS then redis.call('HDEL', base .. 'vt', some[i]) end
  end
  redis.call('PEXPIRE', base .. 'vt', keep)
  redis.call('XTRIM', vkey, 'MINID', num(tonumber(last) + 1))
end
local head = ' ' .. num(l.p) .. ' ' .. l.start .. (ARGV[11] and ' ' .. ARGV[11] or '') .. '\n' .. body
publish(channel, 'R' .. head)
local node = sid ~= '' and redis.call('GET', base .. 'i:' .. sid)
if node then publish('n:' .. string.sub(node, 1, 6), 'r' .. head) end
return {'ok', num(l.p)}
