#!lua
-- Begins an empty epoch of a bucket. Tickets of earlier epochs stay, and count
-- as their buyers' undecided units; so does the mark.
--
-- KEYS  1 state S, 2 tickets T, 3 buyers U
-- ARGV  1 protocol, 2 epoch
-- Answer: 1 where it began, 0 where the bucket is at that epoch or a later one.
local S, T, U = KEYS[1], KEYS[2], KEYS[3]
local call, byte, sub = redis.call, string.byte, string.sub

local state = call('HMGET', S, 'p', 'e', 'm')
if state[1] then
	if state[1] ~= ARGV[1] then return redis.error_reply('PROTOCOL ' .. state[1]) end
	if tonumber(state[2]) >= tonumber(ARGV[2]) then return 0 end
end
call('UNLINK', S, U)
call('HSET', S, 'p', ARGV[1], 'e', ARGV[2], 'n', 0, 'g', 0, 'rn', 0, 'rs', '', 'ru', 0, 'm', state[3] or 0)

-- A ticket has its quantity at 27, the length of its SKU at 35, and its buyer
-- behind the SKU, the epoch and the seq.
local units = {}
for _, ticket in ipairs(call('HVALS', T)) do
	local buyer = sub(ticket, 52 + byte(ticket, 35))
	units[buyer] = (units[buyer] or 0) + struct.unpack('>I8', ticket, 27)
end
local set = {}
for buyer, n in pairs(units) do
	set[#set + 1] = buyer
	set[#set + 1] = string.format('%d', n)
	if #set == 1000 then -- unpack has a bound
		call('HSET', U, unpack(set))
		set = {}
	end
end
if #set > 0 then call('HSET', U, unpack(set)) end
return 1
