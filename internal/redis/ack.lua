#!lua flags=allow-oom
-- Forgets entries of the stream whose tickets are all acknowledged.
--
-- KEYS  1 stream Q, 2 depth of Q
-- ARGV  1 group, then id and number of tickets of each entry
-- Answer: how many entries were still there.
local Q, D, call = KEYS[1], KEYS[2], redis.call
local ids, tickets, gone = {}, 0, 0
for i = 2, #ARGV, 2 do
	ids[#ids + 1] = ARGV[i]
	if call('XDEL', Q, ARGV[i]) == 1 then
		gone, tickets = gone + 1, tickets + ARGV[i + 1]
	end
end
redis.pcall('XACK', Q, ARGV[1], unpack(ids)) -- the group may be gone, with all that it knew
if call('XLEN', Q) == 0 then
	call('SET', D, 0) -- entries trimmed by hand took none off
elseif tickets > 0 then
	call('DECRBY', D, tickets)
end
return gone
