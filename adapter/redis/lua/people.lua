-- Who is in a room: a page in the order of users, and the number of all. Or
-- the rooms with somebody in them.
local op = ARGV[4]
if op == 'rooms' then
  local out = {}
  for _, room in ipairs(redis.call('ZRANGEBYLEX', base .. 'pr', ARGV[5], ARGV[6], 'LIMIT', 0, ARGV[7])) do
    out[#out + 1] = room
    out[#out + 1] = num(redis.call('HLEN', base .. 'p:' .. room))
  end
  return out
end
local room, low, limit = ARGV[5], ARGV[6], ARGV[7]
local out = {num(redis.call('HLEN', base .. 'p:' .. room))}
if tonumber(limit) > 0 then
  for _, user in ipairs(redis.call('ZRANGEBYLEX', base .. 'pz:' .. room, low, '+', 'LIMIT', 0, limit)) do
    local v = redis.call('HGET', base .. 'p:' .. room, user)
    if v then
      out[#out + 1] = user
      out[#out + 1] = string.match(v, '\n(.*)$')
    end
  end
end
return out
