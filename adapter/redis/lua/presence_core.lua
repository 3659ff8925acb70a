-- Shared by presence and reap. p:room maps user → "incarnation,…\nname";
-- pz:room orders the users, pr the rooms; pn:incarnation knows what to reap.
local function holders(room, user)
  local v = redis.call('HGET', base .. 'p:' .. room, user)
  if not v then return nil, '' end
  local nodes, name = string.match(v, '^([^\n]*)\n(.*)$')
  return nodes, name
end

local function present(room, user, who, name)
  local pkey = base .. 'p:' .. room
  local nodes = holders(room, user)
  local first = not nodes
  if first then
    nodes = who
  elseif not string.find(',' .. nodes .. ',', ',' .. who .. ',', 1, true) then
    nodes = nodes .. ',' .. who
  end
  redis.call('HSET', pkey, user, nodes .. '\n' .. name)
  redis.call('SADD', base .. 'pn:' .. who, #room .. ':' .. room .. user)
  local count = redis.call('HLEN', pkey)
  if first then
    redis.call('ZADD', base .. 'pz:' .. room, 0, user)
    redis.call('ZADD', base .. 'pr', 0, room)
    publish('c:' .. room, 'J ' .. count .. ' ' .. #user .. '\n' .. user .. name)
  end
  return count
end

local function absent(room, user, who)
  local pkey = base .. 'p:' .. room
  local nodes, name = holders(room, user)
  redis.call('SREM', base .. 'pn:' .. who, #room .. ':' .. room .. user)
  if not nodes then return redis.call('HLEN', pkey) end
  local rest = {}
  for v in string.gmatch(nodes, '[^,]+') do
    if v ~= who then rest[#rest + 1] = v end
  end
  if #rest > 0 then
    redis.call('HSET', pkey, user, table.concat(rest, ',') .. '\n' .. name)
    return redis.call('HLEN', pkey)
  end
  redis.call('HDEL', pkey, user)
  redis.call('ZREM', base .. 'pz:' .. room, user)
  local count = redis.call('HLEN', pkey)
  if count == 0 then redis.call('ZREM', base .. 'pr', room) end
  publish('c:' .. room, 'L ' .. count .. ' ' .. #user .. '\n' .. user .. name)
  return count
end
