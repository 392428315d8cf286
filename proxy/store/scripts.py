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
  if missing > 1e-9 then
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
    have = math.min(capacity, math.max(0, have - tonumber(ARGV[3 * i])))
    redis.call('HSET', key, 'units', string.format('%.17g', have), 'at', string.format('%.6f', now))
    if rate > 0 then
      redis.call('PEXPIRE', key, math.ceil((capacity - have) / rate * 1000) + 1)
    end
  end
  reply[#reply + 1] = math.floor(have + 1e-9)
end
return reply
"""
