/**
 * Lua for Redis >= 6. KEYS: epoch and, but for asking, nonce; in one hash slot. ARGV: milliseconds that a nonce is remembered and
 * that an epoch outlives its last use. Returns the epoch, which is another one when nonces were lost, and 1 for a nonce that was not there, else 0.
 */
export const NONCE_SCRIPT = `
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  local time = redis.call('TIME')
  epoch = time[1] .. '.' .. string.format('%06d', time[2])
  redis.call('SET', KEYS[1], epoch, 'PX', ARGV[2])
elseif redis.call('PTTL', KEYS[1]) < ARGV[2] / 2 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
if not KEYS[2] then return {epoch, 0} end
return {epoch, redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[1]) and 1 or 0}
`;
