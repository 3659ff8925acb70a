-- A field of a table: set, raised to a number, or removed. Numbers may exceed
-- what Lua counts exactly, so they are compared as texts without leading zeros.
local key, op, field, value, keep, most = base .. 't:' .. ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
if op == 'del' then
  redis.call('HDEL', key, field)
  return {'ok', ''}
end
local old = redis.call('HGET', key, field)
if not old and redis.call('HLEN', key) >= most then return {'full'} end
if op == 'raise' and old and string.match(old, '^%d+$') and (#old > #value or #old == #value and old > value) then value = old end
if value ~= old then redis.call('HSET', key, field, value) end
if redis.call('PTTL', key) < keep then redis.call('PEXPIRE', key, keep) end
return {'ok', value}
