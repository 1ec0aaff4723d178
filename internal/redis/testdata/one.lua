#!lua
-- The yardstick: what reserve.lua does, for one buyer a call.
--
-- KEYS  1 state, 2 tickets, 3 buyers, 4 stream
-- ARGV  1 protocol, 2 claim, 3 buyer, 4 sku, 5 quantity, 6 limit, 7 the rest of the ticket
local S, T, U, Q = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local free, undecided = 'f:' .. ARGV[4], 'u:' .. ARGV[4]
local state = redis.call('HMGET', S, 'p', 'e', 'n', free, undecided)
if state[1] ~= ARGV[1] then return 'u' end
local held = redis.call('HGET', T, ARGV[2])
if held then return held end
local has, wanted = tonumber(redis.call('HGET', U, ARGV[3]) or 0), tonumber(ARGV[5])
if has + wanted > tonumber(ARGV[6]) then return 'l' end
local have = tonumber(state[4])
if have < wanted then return 'o' end
local seq = state[3] + 1
local ticket = ARGV[7] .. struct.pack('>I8I8', state[2], seq) .. ARGV[3]
redis.call('HSET', S, 'n', seq, free, have - wanted, undecided, (state[5] or 0) + wanted)
redis.call('HSET', T, ARGV[2], ticket)
redis.call('HSET', U, ARGV[3], has + wanted)
redis.call('XADD', Q, '*', 't', ARGV[2] .. ticket)
return seq
