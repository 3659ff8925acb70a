-- Which of the caller's sessions are another connection's by now.
local out = {}
for i = 4, #ARGV, 2 do
  local have = redis.call('HGET', base .. 'j:' .. ARGV[i], 't')
  if have and tonumber(have) > tonumber(ARGV[i + 1]) then
    out[#out + 1] = ARGV[i]
    out[#out + 1] = have
  end
end
return out
