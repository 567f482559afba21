/**
 * Whose clock the script counts by: Redis's own, or (tests only) the caller's, passed as the last argument; Redis expires keys by its
 * own clock all the same, so those get an hour more.
 */
export type ScriptClock = 'server' | 'caller';

const CLOCKS: Readonly<Record<ScriptClock, string>> = {
  server: `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local extraTtl = 0`,
  caller: `local now = tonumber(ARGV[#ARGV])
local extraTtl = 3600000`,
};

/**
 * Lua for Redis >= 6: the arithmetic of policy/evaluate/limiter, all demands of a request in one call.
 *
 * KEYS: epoch, then one counter a demand; all in one hash slot. ARGV: the epoch that the caller knows, then for each demand
 * algorithm, limit, windowMs, burst. Returns 1 (admitted, all charged), 0 (denied, none charged) or -1 (another epoch:
 * counters were lost, nothing done), then for each demand remaining, resetMs, retryAfterMs.
 *
 * Counters expire when they are whole again. SlidingWindow: u32 total, then runs of u48 last millisecond of a slot, u32 requests. TokenBucket:
 * debt and time. FixedWindow: window and count. Numbers of the latter two are doubles: whole numbers, exact below 2^53.
 */
export function consumeScript(clock: ScriptClock): string {
  return CLOCKS[clock] + SCRIPT;
}

const SCRIPT = `
local pack, unpack_, floor, ceil, max = struct.pack, struct.unpack, math.floor, math.ceil, math.max
-- check: brings the counter up to now and finds its room. charge: counts one request. encode: the state to store and when it
-- is whole again. moreAt: when more than now is admitted. A counter that check moved because the clock stepped back must be stored
-- even when it denies: it would never get over it otherwise.
local check, charge, encode, moreAt = {}, {}, {}, {}

function check.SlidingWindow(d)
  local slotMs = d.limit <= 60 and 1 or ceil(d.window / 60)
  local slotEnd = floor(now / slotMs) * slotMs + slotMs - 1
  local total, runs = 0, ''
  if d.state then
    total, runs = unpack_('<I4', d.state), d.state:sub(5)
    local newest = unpack_('<I6', runs, #runs - 9)
    if newest > slotEnd then
      if newest - slotEnd > d.window then
        runs, d.moved = pack('<I6I4', slotEnd, total), true
      else
        slotEnd = newest
      end
    end
    local head = 1
    while head < #runs do
      local at, count = unpack_('<I6I4', runs, head)
      if at > now - d.window then break end
      total = total - count
      head = head + 10
    end
    if head > 1 then runs = runs:sub(head) end
  end
  d.slotEnd, d.total, d.runs = slotEnd, total, runs
  d.room = max(0, d.limit - total)
end

function charge.SlidingWindow(d)
  local runs, count = d.runs, 1
  if #runs > 0 then
    local newest, had = unpack_('<I6I4', runs, #runs - 9)
    if newest == d.slotEnd then runs, count = runs:sub(1, -11), had + 1 end
  end
  d.total = d.total + 1
  d.runs = runs .. pack('<I6I4', d.slotEnd, count)
end

function encode.SlidingWindow(d)
  return pack('<I4', d.total) .. d.runs, unpack_('<I6', d.runs, #d.runs - 9) + d.window
end

function moreAt.SlidingWindow(d)
  if d.total == 0 then return now end
  local leaving, left, head = max(1, d.total - d.limit + 1), 0, 1
  while true do
    local at, count = unpack_('<I6I4', d.runs, head)
    left = left + count
    if left >= leaving then return at + d.window end
    head = head + 10
  end
end

function check.TokenBucket(d)
  local debt, at = 0, now
  if d.state then debt, at = unpack_('<dd', d.state) end
  if now > at then
    debt, at = max(0, debt - (now - at) * d.limit), now
  elseif at - now > d.window then
    at, d.moved = now, true
  end
  local room = d.burst * d.window - debt
  d.debt, d.at = debt, at
  d.room = room < d.window and 0 or floor(room / d.window)
end

function charge.TokenBucket(d)
  d.debt = d.debt + d.window
end

function encode.TokenBucket(d)
  return pack('<dd', d.debt, d.at), d.at + ceil(d.debt / d.limit)
end

function moreAt.TokenBucket(d)
  if d.debt == 0 then return now end
  local room = d.burst * d.window - d.debt
  return d.at + ceil(((max(0, floor(room / d.window)) + 1) * d.window - room) / d.limit)
end

function check.FixedWindow(d)
  local current = floor(now / d.window)
  local window, count = current, 0
  if d.state then
    window, count = unpack_('<dd', d.state)
    if current > window then
      window, count = current, 0
    elseif current + 1 < window then
      window, d.moved = current + 1, true
    end
  end
  d.at, d.count = window, count
  d.room = max(0, d.limit - count)
end

function charge.FixedWindow(d)
  d.count = d.count + 1
end

function encode.FixedWindow(d)
  return pack('<dd', d.at, d.count), (d.at + 1) * d.window
end

function moreAt.FixedWindow(d)
  return d.count == 0 and now or (d.at + 1) * d.window
end

local states = redis.call('MGET', unpack(KEYS))
if states[1] ~= ARGV[1] then return {-1} end

local demands, admitted = {}, 1
for i = 2, #KEYS do
  local at = (i - 2) * 4 + 2
  local d = {
    algorithm = ARGV[at],
    limit = tonumber(ARGV[at + 1]),
    window = tonumber(ARGV[at + 2]),
    burst = tonumber(ARGV[at + 3]),
    state = states[i],
  }
  check[d.algorithm](d)
  if d.room < 1 then admitted = 0 end
  demands[i] = d
end

local reply = {admitted}
for i = 2, #KEYS do
  local d = demands[i]
  if admitted == 1 then charge[d.algorithm](d) end
  if admitted == 1 or d.moved then
    local state, wholeAt = encode[d.algorithm](d)
    redis.call('SET', KEYS[i], state, 'PX', wholeAt - now + extraTtl)
  end
  local reset = moreAt[d.algorithm](d) - now
  reply[#reply + 1] = d.room - admitted
  reply[#reply + 1] = reset
  reply[#reply + 1] = d.room < 1 and reset or 0
end
return reply
`;
