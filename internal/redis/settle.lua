#!lua flags=allow-oom
-- Ends tickets with the ledger's verdict. It acts only on exactly these
-- tickets; one that is not there, or is another, changes nothing.
--
-- KEYS  1 state S, 2 tickets T, 3 buyers U
-- ARGV  1 protocol, 2 mark, 3 kinds k of settlements, 4 the kind of each of n settlements (a byte, from 0)
--       k times: sku, quantity, epoch, units that go back to free, live (-1: unknown)
--       n claims, n buyers, n cores of tickets (what must be the same)
-- Answer: how many tickets ended; nil where there is no state.
local S, T, U = KEYS[1], KEYS[2], KEYS[3]
local call, byte, sub, find, format = redis.call, string.byte, string.sub, string.find, string.format

-- core is where the part of a ticket begins that must be the same: before it
-- stand its length, time and key print.
local core = 19

local which = ARGV[4]
local n, kinds = #which, tonumber(ARGV[3])
local claims = 4 + 5 * kinds
local buyers, cores = claims + n, claims + 2 * n

local state = call('HMGET', S, 'p', 'e', 'm')
if not state[1] then return false end
if state[1] ~= ARGV[1] then return redis.error_reply('PROTOCOL ' .. state[1]) end
if tonumber(ARGV[2]) > tonumber(state[3]) then call('HSET', S, 'm', ARGV[2]) end
if n == 0 then return 0 end

local sku, quantity, current, back, live = {}, {}, {}, {}, {}
for k = 1, kinds do
	local at = 4 + 5 * (k - 1)
	sku[k], quantity[k], current[k] = ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3] == state[2]
	back[k], live[k] = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
end

local held = call('HMGET', T, unpack(ARGV, claims + 1, claims + n))
local tallies = call('HMGET', U, unpack(ARGV, buyers + 1, buyers + n))
-- Counters stand beside the tables: # searches.
local ended, e, over = {}, 0, {}
local units, told, changed, c = {}, {}, {}, 0
local ofKind = {byte(which, 1, n)}
local decided, returned = {}, {} -- units by sku
for i = 1, n do
	local claim = ARGV[claims + i]
	local ticket = held[i]
	if ticket and not over[claim] and sub(ticket, core) == ARGV[cores + i] then
		over[claim] = true
		e = e + 1
		ended[e] = claim
		local k, buyer = ofKind[i] + 1, ARGV[buyers + i]
		local u, l = units[buyer], told[buyer]
		if not u then
			c = c + 1
			changed[c] = buyer
			local tally = tallies[i]
			local bar = tally and find(tally, '|', 1, true)
			if bar then
				u, l = tonumber(sub(tally, 1, bar - 1)), tonumber(sub(tally, bar + 1))
			else
				u, l = tonumber(tally or 0), 0
			end
		end
		if live[k] >= 0 then l = live[k] end
		units[buyer], told[buyer] = u - quantity[k], l
		if current[k] then
			decided[sku[k]] = (decided[sku[k]] or 0) + quantity[k]
			returned[sku[k]] = (returned[sku[k]] or 0) + back[k]
		end
	end
end
if e == 0 then return 0 end

call('HDEL', T, unpack(ended))
local set, s, gone, g = {}, 0, {}, 0
local plain = {} -- tallies of what the ledger told alone, as nearly all are
for i = 1, c do
	local buyer = changed[i]
	local u, l = units[buyer], told[buyer]
	if u <= 0 and l <= 0 then
		g = g + 1
		gone[g] = buyer
	else
		local text
		if l <= 0 then
			text = format('%d', u)
		elseif u ~= 0 then
			text = format('%d|%d', u, l)
		else
			text = plain[l] or format('0|%d', l)
			plain[l] = text
		end
		set[s + 1], set[s + 2] = buyer, text
		s = s + 2
	end
end
if s > 0 then call('HSET', U, unpack(set)) end
if g > 0 then call('HDEL', U, unpack(gone)) end
for name, n in pairs(decided) do
	call('HINCRBY', S, 'u:' .. name, -n)
	if returned[name] > 0 then call('HINCRBY', S, 'f:' .. name, returned[name]) end
end
return e
