#!lua
-- Takes free units back, at most so many, and remembers the result.
--
-- KEYS  1 state S
-- ARGV  1 protocol, 2 epoch, 3 number, 4 sku, 5 quantity, 6-8 the result of the number before: number, sku, units
-- Answer: number, sku and units of the result; or forked, or unknown.
local S, call = KEYS[1], redis.call
local free = 'f:' .. ARGV[4]

local state = call('HMGET', S, 'p', 'e', 'rn', 'rs', 'ru', free)
if not state[1] then return 'unknown' end
if state[1] ~= ARGV[1] then return redis.error_reply('PROTOCOL ' .. state[1]) end
if state[2] ~= ARGV[2] then return 'forked' end
if ARGV[3] == state[3] then return {state[3], state[4], state[5]} end
if tonumber(ARGV[3]) ~= tonumber(state[3]) + 1 then return 'forked' end
if ARGV[6] ~= state[3] or ARGV[7] ~= state[4] or ARGV[8] ~= state[5] then return 'forked' end
local units = math.min(tonumber(state[6] or 0), tonumber(ARGV[5]))
if units > 0 then call('HINCRBY', S, free, -units) end
local text = string.format('%d', units)
call('HSET', S, 'rn', ARGV[3], 'rs', ARGV[4], 'ru', text)
return {ARGV[3], ARGV[4], text}
