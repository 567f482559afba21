/**
 * Lua for Redis >= 6. `ends` is the sorted set of all families of the policy by their end. A family is one hash: live (hash of the live secret), session, expiresAt, links (a JSON list of [hash, salt,
 * replacedAt], oldest first). `caller` as the last argument is the caller's clock, for tests; empty: Redis's own.
 */
const CLOCK = `
local now = tonumber(ARGV[#ARGV])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/** KEYS: family, ends. ARGV: hash, session, lifetimeMs, name of the family, clock. */
export const BEGIN_SCRIPT = `${CLOCK}
redis.call('HSET', KEYS[1], 'live', ARGV[1], 'session', ARGV[2], 'expiresAt', now + ARGV[3], 'links', '[]')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[4])
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('PEXPIRE', KEYS[2], math.ceil(last[2] - now))
return 1
`;

/** KEYS: ends. ARGV: clock. Returns how many have not ended. */
export const COUNT_SCRIPT = `${CLOCK}
return redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
`;

/**
 * KEYS: family, ends. ARGV: hash, salt, hash of the successor, graceMs, most links, name of the family, clock. Returns {} (unknown), {session} (reused; the
 * family is gone) or {session, milliseconds to live, salts…}.
 */
export const ROTATE_SCRIPT = `${CLOCK}
local family = redis.call('HMGET', KEYS[1], 'live', 'session', 'expiresAt', 'links')
if not family[1] or now >= tonumber(family[3]) then return {} end
local links = {}
for _, link in ipairs(cjson.decode(family[4])) do
  if now - link[3] < tonumber(ARGV[4]) then links[#links + 1] = link end
end
if family[1] == ARGV[1] then
  links[#links + 1] = {ARGV[1], ARGV[2], now}
  if #links > tonumber(ARGV[5]) then table.remove(links, 1) end
  redis.call('HSET', KEYS[1], 'live', ARGV[3], 'links', cjson.encode(links))
end
local reply = {family[2], family[3] - now}
local found = false
for _, link in ipairs(links) do
  found = found or link[1] == ARGV[1]
  if found then reply[#reply + 1] = link[2] end
end
if found then return reply end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[6])
return {family[2]}
`;

/** KEYS: family, ends. ARGV: name of the family. */
export const REVOKE_SCRIPT = `redis.call('DEL', KEYS[1]) redis.call('ZREM', KEYS[2], ARGV[1]) return 1`;
