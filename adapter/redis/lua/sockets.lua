-- After the store lost something: which sockets are here.
if dead() then return {'dead'} end
for i = 4, #ARGV, 2 do
  redis.call('SET', base .. 'i:' .. ARGV[i], inc .. ' ' .. ARGV[i + 1])
  redis.call('SADD', base .. 'in:' .. inc, ARGV[i])
end
return {'ok'}
