/**
 * Lua for Redis >= 6. KEYS: meta, blocks, ends, log; all in one hash slot. `blocks` is a hash of members (measure and subject) with
 * reason and beginning, `ends` a sorted set of the same members by their end, `log` by the number of their last change. A member that
 * stands in log and not in blocks was cleared; it is kept for an hour for those who did not hear of it. `meta` has the last number and
 * an epoch: another epoch means that members were lost. ARGV: this replica, how long the epoch outlives its last reader in ms, most members.
 */
const COMMON = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hour = 3600000
local function whole(number) return string.format('%.0f', number) end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[1] .. ' ' .. time[1] .. '.' .. time[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'number', redis.call('ZREVRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2] or 0)
end
if redis.call('PTTL', KEYS[1]) < ARGV[2] / 2 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
local function number() return tonumber(redis.call('HGET', KEYS[1], 'number')) end
local function drop(member)
  redis.call('HDEL', KEYS[2], member)
  redis.call('ZREM', KEYS[3], member)
  redis.call('ZREM', KEYS[4], member)
end
-- Forgets what has ended and, above the most, what ends first; a few at a time, since Redis waits.
local function tidy()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', whole(now), 'LIMIT', 0, 100)) do drop(member) end
  local over = math.min(redis.call('ZCARD', KEYS[3]) - ARGV[3], 100)
  if over > 0 then
    for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, over - 1)) do drop(member) end
  end
  local last = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
  if last then
    for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], whole(math.max(hour, last - now + 2 * hour))) end
  end
end
local function changed(member, ends)
  redis.call('ZADD', KEYS[3], whole(ends), member)
  redis.call('ZADD', KEYS[4], redis.call('HINCRBY', KEYS[1], 'number', 1), member)
end
local function enforce(member, reason, since, ends)
  if redis.call('HEXISTS', KEYS[2], member) == 1 and tonumber(redis.call('ZSCORE', KEYS[3], member) or 0) >= ends then return end
  redis.call('HSET', KEYS[2], member, reason .. ' ' .. whole(since))
  changed(member, ends)
end
`;

/** Numbers and texts that COUNT_SCRIPT takes for each offence. */
export const COUNT_ARGS = 8;

/**
 * KEYS: the four, then a record an offence. ARGV: the three, then for each threshold, windowMs, blockMs, multiplier, maxMs, amount, member or
 * nothing, reason. Returns for each the length of the measure in ms, or -1. The arithmetic of countOffences
 * (policy/evaluate/threats); a record is its level, its until, then its slots.
 */
export const COUNT_SCRIPT = `${COMMON}
local function count(key, threshold, window, block, multiplier, longest, amount)
  local n = {}
  for digits in (redis.call('GET', key) or '0 0'):gmatch('%d+') do n[#n + 1] = tonumber(digits) end
  local level, ends = n[1], n[2]
  if now < ends then return -1 end
  local slotMs = threshold <= 60 and 1 or math.ceil(window / 60)
  local slot = math.floor(now / slotMs) * slotMs + slotMs - 1
  local first = 3
  if #n > 3 and n[#n - 1] > slot then
    if n[#n - 1] - slot > window then first = #n + 1 else slot = n[#n - 1] end
  end
  while first < #n and n[first] <= now - window do first = first + 2 end
  local total = amount
  for i = first + 1, #n, 2 do total = total + n[i] end
  local memory = math.max(longest, window)
  if total < threshold then
    if first < #n and n[#n - 1] == slot then
      n[#n] = n[#n] + amount
    else
      n[#n + 1] = slot
      n[#n + 1] = amount
    end
    local record = {whole(level), whole(ends)}
    for i = math.min(first, #n - 1), #n do record[#record + 1] = whole(n[i]) end
    local ttl = math.max(slot + window - now, level > 0 and ends + memory - now or 0)
    redis.call('SET', key, table.concat(record, ' '), 'PX', whole(math.max(1, ttl)))
    return -1
  end
  if now >= ends + memory then level = 0 end
  local measure = math.min(longest, block * multiplier ^ level)
  if measure < longest then level = level + 1 end
  local ttl = measure + (level > 0 and memory or 0)
  if ttl > 0 then
    redis.call('SET', key, whole(level) .. ' ' .. whole(now + measure), 'PX', whole(ttl))
  else
    redis.call('DEL', key)
  end
  return measure
end
local measures = {}
local enforced = false
for i = 5, #KEYS do
  local at = 4 + (i - 5) * ${COUNT_ARGS}
  local n = {}
  for j = 0, 5 do n[j] = tonumber(ARGV[at + j]) end
  local measure = count(KEYS[i], n[0], n[1], n[2], n[3], n[4], n[5])
  measures[#measures + 1] = measure
  if measure >= 0 and ARGV[at + 6] ~= '' then
    enforce(ARGV[at + 6], ARGV[at + 7], now, now + measure)
    enforced = true
  end
end
if enforced then tidy() end
return measures
`;

/** ARGV: the three, then member, reason, beginning and end as milliseconds from now, …. What another process made to end later stays. */
export const PUBLISH_SCRIPT = `${COMMON}
for i = 4, #ARGV, 4 do enforce(ARGV[i], ARGV[i + 1], now + ARGV[i + 2], now + ARGV[i + 3]) end
tidy()
return number()
`;

/** KEYS: the four, then records to forget. ARGV: the three, then members. Returns those that were in force. */
export const CLEAR_SCRIPT = `${COMMON}
for i = 5, #KEYS do redis.call('DEL', KEYS[i]) end
local cleared = {}
for i = 4, #ARGV do
  if redis.call('HDEL', KEYS[2], ARGV[i]) == 1 then
    if tonumber(redis.call('ZSCORE', KEYS[3], ARGV[i]) or 0) > now then cleared[#cleared + 1] = ARGV[i] end
    changed(ARGV[i], now + hour)
  end
end
tidy()
return cleared
`;

/**
 * ARGV: the three, the last number that the caller knows, most members. Returns the epoch, the last number, and what follows as member, number,
 * milliseconds to its end (-1: cleared), reason and age in milliseconds ….
 */
export const PULL_SCRIPT = `${COMMON}
local page = {}
local members = redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[4], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[5])
for i = 1, #members, 2 do
  local member = members[i]
  local block = redis.call('HGET', KEYS[2], member)
  local reason, since = (block or ' 0'):match('^(%S*) (%d+)$')
  local left = block and math.max(0, tonumber(redis.call('ZSCORE', KEYS[3], member) or 0) - now) or -1
  page[#page + 1] = member
  page[#page + 1] = tonumber(members[i + 1])
  page[#page + 1] = left
  page[#page + 1] = reason
  page[#page + 1] = now - tonumber(since)
end
return {epoch, number(), page}
`;

/** KEYS: where a user logged in from. ARGV: the address, how long it stays known in ms, most addresses. Returns 1. */
export const NOTE_LOGIN_SCRIPT = `
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`;

/** KEYS: where a user logged in from. ARGV: the address, how long it stays known in ms. Returns 1 where it is known, else 0. */
export const HAS_LOGGED_IN_SCRIPT = `
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
return at and at * 1000 > redis.call('TIME')[1] * 1000 - ARGV[2] and 1 or 0
`;
