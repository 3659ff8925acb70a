-- After the store lost something: which sockets are here.
local node = ARGV[4]
for i = 5, #ARGV do
  redis.call('SET', base .. 'i:' .. ARGV[i], node)
  redis.call('SADD', base .. 'in:' .. inc, ARGV[i])
end
return {'ok'}
