/**
 * Lua for Redis >= 6. Revocations are numbered as they come: `by number` is a sorted set of members with their numbers, `by end` the same
 * members with the time they end, `meta` the last number and an epoch: another epoch means that members were lost.
 */
const EPOCH = `
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  local time = redis.call('TIME')
  epoch = ARGV[1] .. ' ' .. time[1] .. '.' .. time[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'number', redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or 0)
end
if redis.call('PTTL', KEYS[1]) < ARGV[2] / 2 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
`;

/**
 * KEYS: meta, by number; in one hash slot. ARGV: this replica, how long the epoch outlives its last reader in ms, the last number
 * that the caller knows, most members. Returns the epoch, the last number, and what follows as member, number, member, number….
 */
export const PULL_SCRIPT = `${EPOCH}
local members = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
return {epoch, tonumber(redis.call('HGET', KEYS[1], 'number')), members}
`;

/**
 * KEYS: meta, by number, by end; in one hash slot. ARGV: this replica, how long the epoch outlives its last reader in ms, then
 * member, end…. Members that are there already keep their numbers. Returns the last number. Drops what ended an hour ago: whoever sets the ends has another clock.
 */
export const PUBLISH_SCRIPT = `${EPOCH}
for i = 3, #ARGV, 2 do
  if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], 'number', 1), ARGV[i])
    redis.call('ZADD', KEYS[3], ARGV[i + 1], ARGV[i])
  end
end
local hour = 3600000
local now = redis.call('TIME')[1] * 1000
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - hour, 'LIMIT', 0, 1000)) do
  redis.call('ZREM', KEYS[2], member)
  redis.call('ZREM', KEYS[3], member)
end
local last = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
if last then
  local ttl = math.max(hour, last - now + 2 * hour)
  redis.call('PEXPIRE', KEYS[2], ttl)
  redis.call('PEXPIRE', KEYS[3], ttl)
end
return tonumber(redis.call('HGET', KEYS[1], 'number'))
`;
