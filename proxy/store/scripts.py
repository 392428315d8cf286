"""The Lua that runs inside Redis: each verb that must be atomic is one script."""

PUT = """
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""

# The TTL, then three arguments per key: its value, the channel that is told, and the name that it is told.
PUT_ALL = """
local ttl = tonumber(ARGV[1])
for i, key in ipairs(KEYS) do
  if ttl > 0 then
    redis.call('SET', key, ARGV[3 * i - 1], 'PX', ARGV[1])
  else
    redis.call('SET', key, ARGV[3 * i - 1])
  end
  redis.call('PUBLISH', ARGV[3 * i], ARGV[3 * i + 1])
end
return 1
"""

PUT_IF = """
local present = redis.call('GET', KEYS[1])
if ARGV[5] == '0' then
  if present then return 0 end
elseif present ~= ARGV[6] then
  return 0
end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[1])
end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
"""

DELETE = """
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
"""

ADD = """
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if tonumber(ARGV[2]) > 0 and redis.call('PTTL', KEYS[1]) < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return total
"""

APPEND = """
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
return 1
"""

# Three arguments per bucket: capacity, refill per second, amount. A bucket that is full again is forgotten.
# Returns ok, the seconds to wait (negative: never) and what is left of each. Floats travel as text: Lua numbers
# would come back cut to integers.
TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local units, wait, never = {}, 0, false
for i, key in ipairs(KEYS) do
  local capacity = tonumber(ARGV[3 * i - 2])
  local rate = tonumber(ARGV[3 * i - 1])
  local amount = tonumber(ARGV[3 * i])
  local level = redis.call('HMGET', key, 'units', 'at')
  local have = capacity
  if level[1] then
    have = math.min(capacity, tonumber(level[1]) + math.max(0, now - tonumber(level[2])) * rate)
  end
  units[i] = have
  local missing = amount - have
  if amount > 0 and missing > 1e-9 then
    if amount > capacity or rate <= 0 then never = true else wait = math.max(wait, missing / rate) end
  end
end
local ok = wait == 0 and not never
local reply = {ok and 1 or 0, never and '-1' or string.format('%.9f', wait)}
for i, key in ipairs(KEYS) do
  local have = units[i]
  if ok then
    local capacity = tonumber(ARGV[3 * i - 2])
    local rate = tonumber(ARGV[3 * i - 1])
    local amount = tonumber(ARGV[3 * i])
    have = math.min(capacity, have - amount)
    if amount > 0 and have < 0 then have = 0 end
    redis.call('HSET', key, 'units', string.format('%.17g', have), 'at', string.format('%.6f', now))
    if rate > 0 then
      redis.call('PEXPIRE', key, math.ceil((capacity - have) / rate * 1000) + 1)
    end
  end
  reply[#reply + 1] = math.max(0, math.floor(have + 1e-9))
end
return reply
"""

# The first key has the processes that share these buckets, by when they are taken for dead. Then, of each bucket: kind
# (rate or slots), capacity, refill per second, TTL (ms), need, wish, charge and cap (see `account.Order`; no cap: '').
# More than what is needed is granted while the bucket is a quarter full. Returns how many processes there are, then of
# each bucket what is granted (slots: all that this process has) and what is left in it.
LEASE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local me = ARGV[1]
local life = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now + life, me)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(life * 1000))
local reply = {redis.call('ZCARD', KEYS[1])}

local function rated(key, capacity, rate, ttl, need, wish, charge, cap)
  local level = redis.call('HMGET', key, 'units', 'at', 'of')
  local have = capacity
  if level[1] then
    local grown = capacity - (tonumber(level[3]) or capacity)
    have = math.min(capacity, tonumber(level[1]) + grown + math.max(0, now - tonumber(level[2])) * rate)
  end
  if cap then have = math.min(have, cap) end
  have = math.max(-capacity, math.min(capacity, have - charge))
  local grant = 0
  if wish > 0 and have - wish >= capacity / 4 then
    grant = wish
  elseif have > 0 then
    grant = math.min(need, math.floor(have + 1e-9))
  end
  have = have - grant
  redis.call('HSET', key, 'units', string.format('%.17g', have), 'at', string.format('%.6f', now), 'of', capacity)
  if rate > 0 then
    redis.call('PEXPIRE', key, math.ceil((capacity - have) / rate * 1000) + 1)
  elseif ttl > 0 and redis.call('PTTL', key) < 0 then
    redis.call('PEXPIRE', key, ttl)
  end
  return grant, have
end

local function lent(key, capacity, need, wish, stays)
  local others = 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local count, ends = string.match(all[i + 1], '^(%d+):(.+)$')
    if tonumber(ends) <= now then
      redis.call('HDEL', key, all[i])
    elseif all[i] ~= me then
      others = others + tonumber(count)
    end
  end
  local free = capacity - others
  local grant = wish
  if free - wish < capacity / 4 then grant = math.min(need, free) end
  grant = math.max(grant, stays, 0)
  if grant > 0 then
    redis.call('HSET', key, me, string.format('%d:%.6f', grant, now + life))
    redis.call('PEXPIRE', key, math.ceil(life * 1000))
  else
    redis.call('HDEL', key, me)
  end
  return grant, free - grant
end

for i = 2, #KEYS do
  local at = 3 + (i - 2) * 8
  local capacity, need = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 4])
  local wish, charge = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local grant, have
  if ARGV[at] == 'slots' then
    grant, have = lent(KEYS[i], capacity, need, wish, charge)
  else
    local rate, ttl = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    grant, have = rated(KEYS[i], capacity, rate, ttl, need, wish, charge, tonumber(ARGV[at + 7]))
  end
  reply[#reply + 1] = string.format('%d', grant)
  reply[#reply + 1] = string.format('%.17g', have)
end
return reply
"""
