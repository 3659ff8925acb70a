-- The first local socket of a user came, or the last one left. Idempotent.
local op, room, user, name = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
if dead() then return {'dead'} end
if op == 'add' then return {'ok', present(room, user, inc, name)} end
return {'ok', absent(room, user, inc)}
