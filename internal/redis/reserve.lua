#!lua
-- Answers the asks of many buyers, each as if alone and in order. No two asks
-- of a call have the same claim or the same buyer. A new ticket goes to the
-- outbox T and, with the others of the call, into one entry of the stream Q.
-- What an ask is judged by is in stock.Counter.
--
-- KEYS  1 state S, 2 tickets T, 3 buyers U, 4 stream Q, 5 depth of Q
-- ARGV  1 protocol, 2 kinds k of asks, 3 the kind of each of n asks (a byte, from 0)
--       4 claims, 5 lengths of the buyers' names (2 bytes each), 6 the names,
--       7 heads of tickets: each without gaps, for one long argument costs less than n short ones
--       k times: sku, quantity, limit, live (-1: unknown), quantity and sku as a ticket has them
-- Answer: nil where there is no state; else epoch, seq before the first new
--       ticket, and a letter per ask: n new, h held, l limit, z none free,
--       o fewer free, u unknown; then, in order, the ticket of each h and the
--       number free of each o.
local S, T, U, Q, D = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call, byte, char, sub, find = redis.call, string.byte, string.char, string.sub, string.find
local format, rep, pack, cut = string.format, string.rep, struct.pack, struct.unpack

local kinds, which = tonumber(ARGV[2]), ARGV[3]
local n = #which

local fields, skus, places = {'p', 'e', 'n'}, {}, {}
local place, quantity, limit, live, body = {}, {}, {}, {}, {}
for k = 1, kinds do
	local at = 2 + 5 * k
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

-- One call that cuts n pieces costs a fifth of n calls; behind them it leaves a
-- position.
local claims, head = {cut(rep('c16', n), ARGV[4])}, {cut(rep('c26', n), ARGV[7])}
local ofKind, buyers = {byte(which, 1, n)}, {}
do
	local names, at = ARGV[6], 1
	local lengths = {byte(ARGV[5], 1, 2 * n)}
	for i = 1, n do
		local past = at + 256 * lengths[2 * i - 1] + lengths[2 * i]
		buyers[i] = sub(names, at, past - 1)
		at = past
	end
end
local held = call('HMGET', T, unpack(claims, 1, n))
local tallies = call('HMGET', U, unpack(buyers))

-- Counters stand beside the tables: # searches.
local codes, extra, extras = {}, {}, 0
local tickets, t = {}, 0               -- claim, ticket, claim, ...
local set, s, gone, g = {}, 0, {}, 0   -- buyer, tally, buyer, ...; buyers
local plain = {}                       -- tallies of undecided units alone
local seq, stamp, byte8 = first, pack('>I8', epoch) .. sub(pack('>I8', first), 1, 7), first % 256
for i = 1, n do
	local k = ofKind[i] + 1
	local j, wanted = place[k], quantity[k]
	local have = free[j]
	if held[i] then
		codes[i], extras = 'h', extras + 1
		extra[extras] = held[i]
	elseif not have or wanted < 1 then
		codes[i] = 'u'
	else
		local tally, u, l, new = tallies[i], 0, 0, false
		if tally then
			local bar = find(tally, '|', 1, true)
			if bar then
				u, l = tonumber(sub(tally, 1, bar - 1)), tonumber(sub(tally, bar + 1))
			else
				u = tonumber(tally)
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
			codes[i], extras = 'o', extras + 1
			extra[extras] = have
		else
			codes[i] = 'n'
			free[j], undecided[j], taken[j] = have - wanted, undecided[j] + wanted, true
			u, new, seq, byte8 = u + wanted, true, seq + 1, byte8 + 1
			if byte8 == 256 then
				stamp, byte8 = pack('>I8', epoch) .. sub(pack('>I8', seq), 1, 7), 0
			end
			tickets[t + 1] = claims[i]
			tickets[t + 2] = head[i] .. body[k] .. stamp .. char(byte8) .. buyers[i]
			t = t + 2
		end
		if new then
			if l == 0 and u == 0 then
				g = g + 1
				gone[g] = buyers[i]
			else
				local text = plain[u]
				if l > 0 then
					text = format('%d|%d', u, l)
				elseif not text then
					text = format('%d', u)
					plain[u] = text
				end
				set[s + 1], set[s + 2] = buyers[i], text
				s = s + 2
			end
		end
	end
end

local answers = table.concat(codes)
if s > 0 then call('HSET', U, unpack(set)) end
if g > 0 then call('HDEL', U, unpack(gone)) end
if t > 0 then
	local numbers = {'n', seq}
	for j = 1, #skus do
		if taken[j] then
			numbers[#numbers + 1] = 'f:' .. skus[j]
			numbers[#numbers + 1] = free[j]
			numbers[#numbers + 1] = 'u:' .. skus[j]
			numbers[#numbers + 1] = undecided[j]
		end
	end
	call('HSET', S, unpack(numbers))
	call('HSET', T, unpack(tickets))
	if 2 * (seq - first) >= n then -- the arguments are there already; to join the tickets costs as much as two reads of T
		call('XADD', Q, '*', 's', pack('>I8I8', epoch, first), 'a', answers, 'k', which, 'b', table.concat(body),
			'c', ARGV[4], 'l', ARGV[5], 'n', ARGV[6], 'h', ARGV[7])
	else
		call('XADD', Q, '*', 't', table.concat(tickets))
	end
	call('INCRBY', D, seq - first)
end

return {epoch, first, answers, unpack(extra)}
