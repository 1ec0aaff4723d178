#!lua
-- Answers the asks of many buyers, each as if alone and in order. A new ticket
-- goes to the outbox T and, with the others of the call, into one entry of the
-- stream Q. What an ask is judged by is in stock.Counter.
--
-- KEYS  1 state S, 2 tickets T, 3 buyers U, 4 stream Q, 5 depth of Q
-- ARGV  1 protocol, 2 kinds k of asks, 3 the kind of each of n asks (a byte, from 0)
--       k times: sku, quantity, limit, live (-1: unknown), quantity and sku as a ticket has them
--       n claims, n buyers, n heads of tickets
-- Answer: nil where there is no state; else epoch, seq before the first new
--       ticket, and a letter per ask: n new, h held, l limit, z none free,
--       o fewer free, u unknown; then, in order, the ticket of each h and the
--       number free of each o.
local S, T, U, Q, D = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call, byte, sub, find, format, pack = redis.call, string.byte, string.sub, string.find, string.format, struct.pack

local which = ARGV[3]
local n, kinds = #which, tonumber(ARGV[2])
local claims = 3 + 5 * kinds
local buyers, heads = claims + n, claims + 2 * n

local fields, skus, places = {'p', 'e', 'n'}, {}, {}
local place, quantity, limit, live, body = {}, {}, {}, {}, {}
for k = 1, kinds do
	local at = 3 + 5 * (k - 1)
	local sku = ARGV[at + 1]
	if not places[sku] then
		skus[#skus + 1] = sku
		places[sku] = #skus
		fields[#fields + 1] = 'f:' .. sku
		fields[#fields + 1] = 'u:' .. sku
	end
	place[k], quantity[k], limit[k] = places[sku], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
	live[k], body[k] = tonumber(ARGV[at + 4]), ARGV[at + 5]
end

local state = call('HMGET', S, unpack(fields))
if not state[1] then return false end
if state[1] ~= ARGV[1] then return redis.error_reply('PROTOCOL ' .. state[1]) end
local epoch, first = tonumber(state[2]), tonumber(state[3])
local free, undecided, taken = {}, {}, {}
for j = 1, #skus do
	free[j] = state[2 + 2 * j] and tonumber(state[2 + 2 * j])
	undecided[j], taken[j] = tonumber(state[3 + 2 * j] or 0), false
end

local held = call('HMGET', T, unpack(ARGV, claims + 1, claims + n))
local tallies = call('HMGET', U, unpack(ARGV, buyers + 1, buyers + n))

local stamp, seq = pack('>I8', epoch), first
local codes, extra = {}, {}
local fresh, tickets = {}, {}      -- of this call: claim to ticket; claim, ticket, claim, ...
local units, told, changed = {}, {}, {} -- undecided and live of buyers whose tally changed
for i = 1, n do
	local claim = ARGV[claims + i]
	local ticket = held[i] or fresh[claim]
	local k = byte(which, i) + 1
	local j, wanted = place[k], quantity[k]
	local have = free[j]
	if ticket then
		codes[i] = 'h'
		extra[#extra + 1] = ticket
	elseif not have or wanted < 1 then
		codes[i] = 'u'
	else
		local buyer = ARGV[buyers + i]
		local u, l, known, new = units[buyer], told[buyer], true, false
		if not u then
			known = false
			local tally = tallies[i]
			local bar = tally and find(tally, '|', 1, true)
			if bar then
				u, l = tonumber(sub(tally, 1, bar - 1)), tonumber(sub(tally, bar + 1))
			else
				u, l = tonumber(tally or 0), 0
			end
		end
		if live[k] >= 0 and live[k] ~= l then
			l, new = live[k], true
		end
		if wanted > limit[k] - l - u then
			codes[i] = 'l'
		elseif have == 0 then
			codes[i] = 'z'
		elseif wanted > have then
			codes[i] = 'o'
			extra[#extra + 1] = have
		else
			free[j], undecided[j], taken[j] = have - wanted, undecided[j] + wanted, true
			u, new, seq = u + wanted, true, seq + 1
			ticket = ARGV[heads + i] .. body[k] .. stamp .. pack('>I8', seq) .. buyer
			fresh[claim] = ticket
			tickets[#tickets + 1] = claim
			tickets[#tickets + 1] = ticket
			codes[i] = 'n'
		end
		if new then
			if not known then changed[#changed + 1] = buyer end
			units[buyer], told[buyer] = u, l
		end
	end
end

if #changed > 0 then
	local set, gone, plain = {}, {}, {}
	for i = 1, #changed do
		local buyer = changed[i]
		local u, l = units[buyer], told[buyer]
		if l > 0 then
			set[#set + 1] = buyer
			set[#set + 1] = format('%d|%d', u, l)
		elseif u > 0 then
			local text = plain[u]
			if not text then
				text = format('%d', u)
				plain[u] = text
			end
			set[#set + 1] = buyer
			set[#set + 1] = text
		else
			gone[#gone + 1] = buyer
		end
	end
	if #set > 0 then call('HSET', U, unpack(set)) end
	if #gone > 0 then call('HDEL', U, unpack(gone)) end
end

if seq > first then
	local set = {'n', seq}
	for j = 1, #skus do
		if taken[j] then
			set[#set + 1] = 'f:' .. skus[j]
			set[#set + 1] = free[j]
			set[#set + 1] = 'u:' .. skus[j]
			set[#set + 1] = undecided[j]
		end
	end
	call('HSET', S, unpack(set))
	call('HSET', T, unpack(tickets))
	call('XADD', Q, '*', 't', table.concat(tickets))
	call('INCRBY', D, seq - first)
end

return {epoch, first, table.concat(codes), unpack(extra)}
