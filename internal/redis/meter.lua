#!lua
-- Takes one order of each buyer, in order; a buyer may be there twice. A key holds
-- when its buyer's burst will be whole again, and goes by itself then.
--
-- KEYS  1 to n, a key per order, all in one slot
-- ARGV  1 now, 2 what an order takes, 3 what a burst is, in microseconds
-- Answer: per order 0, or the microseconds until the next one will pass.
local call, format, ceil = redis.call, string.format, math.ceil
local now, cost, depth = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local skew = 1000000 -- by which clocks of two nodes may differ
local waits = {}
for i = 1, #KEYS do
	local debt = tonumber(call('GET', KEYS[i]) or 0) - now
	if debt < 0 or debt > depth + skew then debt = 0 end -- idle, or written before the clock was set back
	local after = debt + cost
	if after > depth then
		waits[i] = after - depth
	else
		waits[i] = 0
		call('SET', KEYS[i], format('%.0f', now + after), 'PX', ceil(after / 1000) + skew / 1000)
	end
end
return waits
