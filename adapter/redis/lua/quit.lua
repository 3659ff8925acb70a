-- An orderly end: the lease runs out after the grace, and whoever is there
-- then reaps. Until then clients come back elsewhere as if nothing was.
if not dead() then redis.call('ZADD', base .. 'z', ms - tonumber(ARGV[4]) + tonumber(ARGV[5]), inc) end
return {'ok'}
