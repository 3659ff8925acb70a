-- An ephemeral event to one room, which may be a socket's id: then the node
-- that has the socket gets it on its own channel.
local channel, sid, payload = ARGV[4], ARGV[5], ARGV[6]
publish(channel, payload)
local node = redis.call('GET', base .. 'i:' .. sid)
if node then publish('n:' .. string.sub(node, 1, 6), 'e' .. string.sub(payload, 2)) end
return {'ok'}
