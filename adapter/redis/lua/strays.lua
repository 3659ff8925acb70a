-- Sessions that the store notes for this incarnation, and that its node has not
-- got: what became of them was cut short. Their window begins now.
local window = tonumber(ARGV[4])
if dead() then return {'dead'} end
for i = 5, #ARGV do
  local pid = ARGV[i]
  local okey, jkey = base .. 'o:' .. pid, base .. 'j:' .. pid
  redis.call('SREM', base .. 'on:' .. inc, pid)
  if redis.call('HGET', okey, 'node') == inc then
    redis.call('HSETNX', okey, 'gone', num(ms))
    redis.call('PEXPIRE', okey, 2 * window + 60000)
  end
  if redis.call('HGET', jkey, 'n') == inc then redis.call('PEXPIRE', jkey, 2 * window + 60000) end
end
return {'ok'}
