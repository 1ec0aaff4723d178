#!lua flags=no-writes
-- Reads the state of a bucket and how many tickets it has, at one moment.
--
-- KEYS  1 state S, 2 tickets T
-- ARGV  1 protocol
-- Answer: the number of tickets, then fields and values of S; nil where there is no state.
local state = redis.call('HGETALL', KEYS[1])
if #state == 0 then return false end
local protocol = redis.call('HGET', KEYS[1], 'p')
if protocol ~= ARGV[1] then return redis.error_reply('PROTOCOL ' .. tostring(protocol)) end
table.insert(state, 1, redis.call('HLEN', KEYS[2]))
return state
