const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Lua: takes a place among a user's WebSockets; the places of processes that are gone have expired.
 *
 * KEYS: the user's set. ARGV: the session, the limit, how long a place is kept without a refresh in ms. Returns 1, or 0 when all are taken.
 */
export const OPEN_SESSION_SCRIPT = `${NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`;

/**
 * Lua: keeps the places of sessions that are open, and takes them again where they were lost.
 *
 * KEYS: the users' sets, in one hash slot. ARGV: how long a place is kept in ms; then for each key the number of its sessions, and they.
 */
export const REFRESH_SESSIONS_SCRIPT = `${NOW}
local at = 2
for _, key in ipairs(KEYS) do
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count do redis.call('ZADD', key, now + ARGV[1], ARGV[i]) end
  redis.call('PEXPIRE', key, ARGV[1])
  at = at + 1 + count
end
return 1
`;
