#!lua
-- Switches the published index in one step: no reader sees an alias of one build and a pointer to another.
-- The first line makes Redis refuse the whole script when it is out of memory, before it has moved the alias.
-- KEYS: the pointer, the new build's record, the record of the build that goes (the new one's when none goes).
-- ARGV: alias, index of the new build, new build, build that must be live now ('' for none), build to go back to
-- ('' for none), time (ISO 8601), then the names of the gates whose verdict is required.
local live = redis.call('HGET', KEYS[1], 'live') or ''
if live ~= ARGV[4] then
    return redis.error_reply('VIBERARY live build is ' .. live .. ', expected ' .. ARGV[4])
end
local state = redis.call('HGET', KEYS[2], 'state') or 'absent'
if state ~= 'ready' and state ~= 'previous' and state ~= 'live' then
    return redis.error_reply('REFUSED build ' .. ARGV[3] .. ' is ' .. state .. ', expected ready, previous or live')
end
local outcome = {}
for _, gate in ipairs(cjson.decode(redis.call('HGET', KEYS[2], 'gates') or '[]')) do
    outcome[gate.name] = gate.outcome
    if gate.outcome == 'failed' then
        return redis.error_reply('REFUSED build ' .. ARGV[3] .. ' by ' .. gate.name)
    end
end
for at = 7, #ARGV do
    if outcome[ARGV[at]] ~= 'passed' and outcome[ARGV[at]] ~= 'not compared' then
        return redis.error_reply('REFUSED build ' .. ARGV[3] .. ' without a verdict of ' .. ARGV[at])
    end
end
redis.call('FT.ALIASUPDATE', ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], 'live', ARGV[3], 'previous', ARGV[5])
if redis.call('EXISTS', KEYS[3]) == 1 then
    redis.call('HSET', KEYS[3], 'state', 'previous')
end
redis.call('HSET', KEYS[2], 'state', 'live', 'published', ARGV[6], 'saved', '')
return live
