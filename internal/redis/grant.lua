#!lua
-- Adds a grant's units where its number is the last one + 1.
--
-- KEYS  1 state S
-- ARGV  1 protocol, 2 epoch, 3 number, 4 sku, 5 quantity
-- Answer: applied (now or before), forked, or unknown.
local S, call = KEYS[1], redis.call

local state = call('HMGET', S, 'p', 'e', 'g')
if not state[1] then return 'unknown' end
if state[1] ~= ARGV[1] then return redis.error_reply('PROTOCOL ' .. state[1]) end
if state[2] ~= ARGV[2] then return 'forked' end
local number, last = tonumber(ARGV[3]), tonumber(state[3])
if number <= last then return 'applied' end
if number > last + 1 then return 'forked' end
call('HSET', S, 'g', ARGV[3])
call('HINCRBY', S, 'f:' .. ARGV[4], ARGV[5])
return 'applied'
