#!lua
-- Puts tickets into the stream, as reserve does.
--
-- KEYS  1 stream Q, 2 depth of Q
-- ARGV  1 the tickets, claims before them, 2 how many
-- Answer: the entry's id.
redis.call('INCRBY', KEYS[2], ARGV[2])
return redis.call('XADD', KEYS[1], '*', 't', ARGV[1])
