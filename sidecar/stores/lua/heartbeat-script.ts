/**
 * Lua: says that this process is alive, counts the processes that are, and names the epoch, which is made when missing. An epoch
 * that changed means that the counters were lost (flush, failover, restart).
 *
 * KEYS: epoch, replicas; in one hash slot. ARGV: this replica, how long a replica counts as alive in ms, how long an epoch
 * outlives the last heartbeat in ms. Returns the epoch and the number of replicas.
 */
export const HEARTBEAT_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[1] .. ' ' .. time[1] .. '.' .. time[2] end
redis.call('SET', KEYS[1], epoch, 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {epoch, redis.call('ZCARD', KEYS[2])}
`;
