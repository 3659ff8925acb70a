-- Heads of rooms: all of a namespace in order, or, for an audit, those named.
if ARGV[4] == 'list' then
  local rooms = redis.call('ZRANGEBYLEX', base .. 'lr', ARGV[5], ARGV[6], 'LIMIT', 0, ARGV[7])
  local out = {}
  for _, room in ipairs(rooms) do
    local m = redis.call('HMGET', base .. 'm:' .. room, 'e', 'q')
    if not m[1] then redis.call('ZREM', base .. 'lr', room) end
    out[#out + 1] = room
    out[#out + 1] = m[1] or ''
    out[#out + 1] = m[2] or '0'
  end
  return out
end
local out = {}
for i = 5, #ARGV do
  local m = redis.call('HMGET', base .. 'm:' .. ARGV[i], 'e', 'q')
  out[#out + 1] = m[1] or ''
  out[#out + 1] = m[2] or '0'
end
return out
