#!lua
-- Switches the published index in one step: no reader sees an alias of one build and a pointer to another.
-- The first line makes Redis refuse the whole script when it is out of memory, before it has moved the alias.
-- KEYS: the pointer, the new build's record, the record of the build that goes (the new one's when none goes).
-- ARGV: alias, index of the new build, new build, build that must be live now ('' for none), time (ISO 8601).
local live = redis.call('HGET', KEYS[1], 'live') or ''
if live ~= ARGV[4] then
    return redis.error_reply('VIBERARY live build is ' .. live .. ', expected ' .. ARGV[4])
end
local state = redis.call('HGET', KEYS[2], 'state') or 'absent'
if state ~= 'ready' and state ~= 'previous' then
    return redis.error_reply('VIBERARY build ' .. ARGV[3] .. ' is ' .. state .. ', expected ready or previous')
end
redis.call('FT.ALIASUPDATE', ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], 'live', ARGV[3], 'previous', live)
if live ~= '' then
    redis.call('HSET', KEYS[3], 'state', 'previous')
end
redis.call('HSET', KEYS[2], 'state', 'live', 'published', ARGV[5], 'saved', '')
return live
