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
 * algorithm, limit, windowMs, burst, cost. Returns 1 (admitted, all charged), 0 (denied, none charged) or -1 (another epoch:
 * counters were lost, nothing done), then for each demand remaining requests, resetMs, retryAfterMs.
 *
 * Counters expire when they are whole again. SlidingWindow: u32 total, then runs of u48 last millisecond of a slot, u32 units. TokenBucket:
 * debt and time, then for each lease its end and size. FixedWindow: window and count. Numbers of the latter two are doubles: whole numbers,
 * exact below 2^53.
 */
export function consumeScript(clock: ScriptClock): string {
  return `${CLOCKS[clock]}${COUNTERS}${decide(5, '')}return reply`;
}

/**
 * As `consumeScript`, and leases to the caller what it may spend by itself for a while. For each demand two more arguments: units
 * wanted at most, and for how many milliseconds. Two more numbers a demand end the reply: units leased, and for how long from the call on.
 *
 * A leased unit is charged as if it were spent at the end of the lease: SlidingWindow counts it in the slot of that end, a bucket is paid
 * back for it only from then on, and a FixedWindow's leases end with their window. So whenever it is spent, the bound is kept. At most half of
 * what is left is leased, so that others come by something too.
 */
export function leaseScript(clock: ScriptClock): string {
  return `${CLOCKS[clock]}${COUNTERS}${LEASES}${decide(7, 'leaseOut(d, at)')}${LEASED}return reply`;
}

/** Longer than any lease, in milliseconds. */
export const LONGEST_LEASE_MS = 1000;

const COUNTERS = `
local pack, unpack_, floor, ceil, max, min = struct.pack, struct.unpack, math.floor, math.ceil, math.max, math.min
-- check: brings the counter up to now and finds its room in units. charge: counts units. encode: the state to store and when it
-- is whole again. moreAt: when more requests than now are admitted. A counter that check moved because the clock stepped back must be stored
-- even when it denies: it would never get over it otherwise.
local check, charge, encode, moreAt = {}, {}, {}, {}

-- Units of which one more request than now would be admitted.
local function wanted(room, cost)
  return (max(0, floor(room / cost)) + 1) * cost
end

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
  d.slotMs, d.slotEnd, d.total, d.runs = slotMs, slotEnd, total, runs
  d.room = max(0, d.limit - total)
end

function charge.SlidingWindow(d, units)
  local runs, count = d.runs, units
  if #runs > 0 then
    local newest, had = unpack_('<I6I4', runs, #runs - 9)
    if newest == d.slotEnd then runs, count = runs:sub(1, -11), had + units end
  end
  d.total = d.total + units
  d.runs = runs .. pack('<I6I4', d.slotEnd, count)
end

function encode.SlidingWindow(d)
  return pack('<I4', d.total) .. d.runs, unpack_('<I6', d.runs, #d.runs - 9) + d.window
end

function moreAt.SlidingWindow(d)
  if d.total == 0 then return now end
  local leaving, left, head = min(d.total, max(1, d.total - d.limit + wanted(d.limit - d.total, d.cost))), 0, 1
  while true do
    local at, count = unpack_('<I6I4', d.runs, head)
    left = left + count
    if left >= leaving then return at + d.window end
    head = head + 10
  end
end

-- Leases end in their order; what has ended is debt from then on.
local function payBack(d, debt, at, till)
  local held, leases = 0, d.state and d.state:sub(17) or ''
  local head, kept = 1, {}
  while head < #leases do
    local lease, units = unpack_('<dd', leases, head)
    if lease <= till then
      debt, at = max(0, debt - max(0, lease - at) * d.limit) + units, max(at, lease)
    else
      kept[#kept + 1] = {lease, units}
      held = held + units
    end
    head = head + 16
  end
  d.leases, d.held = kept, held
  return max(0, debt - max(0, till - at) * d.limit)
end

function check.TokenBucket(d)
  local debt, at = 0, now
  if d.state then debt, at = unpack_('<dd', d.state) end
  if now > at then
    debt, at = payBack(d, debt, at, now), now
  else
    debt = payBack(d, debt, at, now)
    if at - now > d.window then
      at, d.moved = now, true
      for _, lease in ipairs(d.leases) do lease[1] = min(lease[1], now + ${LONGEST_LEASE_MS}) end
    end
  end
  d.debt, d.at = debt, at
  d.room = max(0, floor((d.burst * d.window - debt - d.held) / d.window))
end

function charge.TokenBucket(d, units)
  d.debt = d.debt + units * d.window
end

function encode.TokenBucket(d)
  local state, last = pack('<dd', d.debt, d.at), d.at
  for _, lease in ipairs(d.leases) do
    state, last = state .. pack('<dd', lease[1], lease[2]), max(last, lease[1])
  end
  return state, last + ceil((d.debt + d.held) / d.limit)
end

function moreAt.TokenBucket(d)
  local total = d.debt + d.held
  if total == 0 then return now end
  local room = d.burst * d.window - total
  local left = min(total, wanted(room, d.cost * d.window) - room)
  local debt, at = d.debt, d.at
  for _, lease in ipairs(d.leases) do
    local paid = min(debt, max(0, lease[1] - at) * d.limit)
    if paid >= left then break end
    debt, at, left = debt - paid + lease[2], max(at, lease[1]), left - paid
  end
  return at + ceil(left / d.limit)
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

function charge.FixedWindow(d, units)
  d.count = d.count + units
end

function encode.FixedWindow(d)
  return pack('<dd', d.at, d.count), (d.at + 1) * d.window
end

function moreAt.FixedWindow(d)
  return d.count == 0 and now or (d.at + 1) * d.window
end
`;

const LEASES = `
local lease = {}

function lease.SlidingWindow(d, units)
  d.slotEnd = max(d.slotEnd, floor((now + d.leaseMs) / d.slotMs) * d.slotMs + d.slotMs - 1)
  charge.SlidingWindow(d, units)
end

-- Ends are rounded up to quarters, so that a bucket of many callers has few of them.
function lease.TokenBucket(d, units)
  local quarter = ceil(d.leaseMs / 4)
  local till, last = ceil((now + d.leaseMs) / quarter) * quarter, d.leases[#d.leases]
  if last and last[1] >= till then
    last[2] = last[2] + units * d.window
  else
    d.leases[#d.leases + 1] = {till, units * d.window}
  end
  d.held = d.held + units * d.window
end

function lease.FixedWindow(d, units)
  d.leaseMs = min(d.leaseMs, (d.at + 1) * d.window - now)
  charge.FixedWindow(d, units)
end

local function leaseOut(d, at)
  local units = min(tonumber(ARGV[at + 5]), floor((d.room - d.cost) / 2))
  d.leased = max(0, units - units % d.cost)
  d.leaseMs = tonumber(ARGV[at + 6])
  if d.leased == 0 then return end
  lease[d.algorithm](d, d.leased)
  d.room = d.room - d.leased
end
`;

const LEASED = `
for i = 2, #KEYS do
  reply[#reply + 1] = demands[i].leased or 0
  reply[#reply + 1] = demands[i].leaseMs or 0
end
`;

/** `whenAdmitted`: done for each demand `d`, whose arguments begin at `at`, before the request itself is charged. */
function decide(argumentsPerDemand: number, whenAdmitted: string): string {
  return `
local states = redis.call('MGET', unpack(KEYS))
if states[1] ~= ARGV[1] then return {-1} end

local demands, admitted = {}, 1
for i = 2, #KEYS do
  local at = (i - 2) * ${argumentsPerDemand} + 2
  local d = {
    algorithm = ARGV[at],
    limit = tonumber(ARGV[at + 1]),
    window = tonumber(ARGV[at + 2]),
    burst = tonumber(ARGV[at + 3]),
    cost = tonumber(ARGV[at + 4]),
    state = states[i],
  }
  check[d.algorithm](d)
  if d.room < d.cost then admitted = 0 end
  demands[i] = d
end

local reply = {admitted}
for i = 2, #KEYS do
  local d, at = demands[i], (i - 2) * ${argumentsPerDemand} + 2
  local full = d.room < d.cost
  if admitted == 1 then
    ${whenAdmitted}
    charge[d.algorithm](d, d.cost)
    d.room = d.room - d.cost
  end
  if admitted == 1 or d.moved then
    local state, wholeAt = encode[d.algorithm](d)
    redis.call('SET', KEYS[i], state, 'PX', wholeAt - now + extraTtl)
  end
  local reset = moreAt[d.algorithm](d) - now
  reply[#reply + 1] = floor(d.room / d.cost)
  reply[#reply + 1] = reset
  reply[#reply + 1] = full and reset or 0
end
`;
}
