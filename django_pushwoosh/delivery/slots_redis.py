"""The governor's slots in Redis: a sorted set for each account, and the identity of the server that it was made on.

Redis may forget. A restart brings an old copy back, a failover another one, a flush none at all; used slots would then
look free. So the set counts only on the server that it was made on (its `run_id`), and what is lost counts as just
used: everyone waits until no request of before can still be counted. Only an account that has never been used is
spared that; the database remembers, by a row, which accounts have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet

from django_pushwoosh.conf import Account
from django_pushwoosh.delivery.slots import EPOCH, Clock, Grant, StoreUnreachable, longest_hold
from django_pushwoosh.models import RateSlot

if TYPE_CHECKING:
    import redis

PREFIX = "django_pushwoosh:governor"
TTL = timedelta(days=30)
"""What was not used for so long is forgotten; the next use then waits as after a loss."""

TIMEOUT_SECONDS = 0.5
"""To connect, and to wait for an answer: the worker does nothing else meanwhile."""

MICROSECOND = timedelta(microseconds=1)
UNIX = datetime(1970, 1, 1, tzinfo=UTC)

# KEYS: the set of slots (score: free from, in microseconds since 1970), the server's identity.
# ARGV: the time, empty for the server's own; how many slots; what a lost slot is held for; seconds to live;
# "1" where the account was never used. Numbers are written with %.0f, for Lua's own way has 14 digits.
OPENING = """
local slots, lost_hold, ttl = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local present = redis.call('ZCARD', KEYS[1])
local is_new = present == 0 and ARGV[5] == '1'
-- A microsecond that no grant of before has.
local lost_wait = lost_hold + 1
local is_lost = present == 0 or redis.call('GET', KEYS[2]) ~= server

-- Moves every slot, be it by a microsecond: what was granted before is not given back before its time.
local function raise_to(time)
    local text = string.format('%.0f', time)
    for _, slot in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], text, '+inf')) do
        redis.call('ZINCRBY', KEYS[1], 1, slot)
    end
    for _, slot in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. text)) do
        redis.call('ZADD', KEYS[1], text, slot)
    end
end

local function make_ready()
    local since = '0'
    if is_lost and not is_new then
        raise_to(now + lost_wait)
        since = string.format('%.0f', now + lost_wait)
    end
    for number = present, slots - 1 do
        redis.call('ZADD', KEYS[1], since, number)
    end
    redis.call('SET', KEYS[2], server, 'EX', ttl)
    redis.call('EXPIRE', KEYS[1], ttl)
end
"""

# ARGV[6]: microseconds to hold. A lowered cap leaves slots behind that nobody may use; they stay, for it may rise
# again.
TAKE = f"""
{OPENING}
make_ready()
local free = string.format('%.0f', now)
local first = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', free, 'LIMIT', 0, 1)
if first[1] and tonumber(first[1]) >= slots then
    first = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', free)
end
for _, slot in ipairs(first) do
    if tonumber(slot) < slots then
        local held_until = string.format('%.0f', now + tonumber(ARGV[6]))
        redis.call('ZADD', KEYS[1], held_until, slot)
        return {{tonumber(slot), held_until}}
    end
end
return false
"""

# ARGV[6]: microseconds to pause.
PAUSE = f"""
{OPENING}
make_ready()
raise_to(now + tonumber(ARGV[6]))
"""

# ARGV[6]: the place. Writes nothing: a lost set is answered by what the next `take` will make of it.
WAIT = f"""
{OPENING}
if is_new then
    return '0'
end
local place = tonumber(ARGV[6]) - math.max(0, slots - present)
local least = is_lost and lost_wait or 0
local found = now
if place >= 0 and present <= slots then
    found = redis.call('ZRANGE', KEYS[1], place, place, 'WITHSCORES')[2]
elseif place >= 0 then
    local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
    for index = 1, #all, 2 do
        if tonumber(all[index]) < slots then
            if place == 0 then
                found = all[index + 1]
                break
            end
            place = place - 1
        end
    end
end
return string.format('%.0f', math.max(least, tonumber(found) - now))
"""

# ARGV: the time, the slot, until when the grant held it, microseconds to rest, "1" where that may not be later.
GIVE_BACK = """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local held_until = redis.call('ZSCORE', KEYS[1], ARGV[2])
if held_until and tonumber(held_until) == tonumber(ARGV[3]) then
    local free_at = now + tonumber(ARGV[4])
    if ARGV[5] == '1' then
        free_at = math.min(free_at, tonumber(held_until))
    end
    redis.call('ZADD', KEYS[1], string.format('%.0f', free_at), ARGV[2])
end
"""


class RedisSlots:
    """`database` is where it is remembered which accounts have been used. `now` replaces Redis's clock."""

    def __init__(self, url: str, database: str, *, now: Clock | None = None) -> None:
        self._scripts = _scripts(url)
        self._database = database
        self._clock = now
        self._known: set[str] = set()

    def take(self, account: Account, hold: timedelta) -> Grant | None:
        taken = self._run_for(account, "take", hold // MICROSECOND, lost_hold=max(hold, longest_hold()))
        if taken is None:
            return None
        slot, held_until = taken
        return Grant(account.name, slot, UNIX + int(held_until) * MICROSECOND)

    def give_back(self, grant: Grant, rest: timedelta, *, only_sooner: bool = False) -> None:
        held_until = (grant.held_until - UNIX) // MICROSECOND
        given = [self._now(), grant.slot, held_until, rest // MICROSECOND, "1" if only_sooner else "0"]
        self._run("give_back", grant.account, given)

    def pause(self, account: Account, seconds: float) -> None:
        self._run_for(account, "pause", timedelta(seconds=seconds) // MICROSECOND)

    def seconds_until(self, account: Account, place: int) -> float:
        is_new = account.name not in self._known and not self._rows(account.name).exists()
        return int(self._run("wait", account.name, self._arguments(account, is_new, longest_hold(), place))) / 1e6

    def _run_for(self, account: Account, script: str, last: int, lost_hold: timedelta | None = None) -> Any:
        is_new = self._is_first_use(account.name)
        return self._run(script, account.name, self._arguments(account, is_new, lost_hold or longest_hold(), last))

    def _is_first_use(self, account: str) -> bool:
        """Whether the account was never used before. From now on it was, so that an empty set is a lost one."""
        if account in self._known:
            return False
        is_new = not self._rows(account).exists()
        if is_new:
            slot = RateSlot(account=account, number=0, free_at=EPOCH)
            RateSlot.objects.using(self._database).bulk_create([slot], ignore_conflicts=True)
        self._known.add(account)
        return is_new

    def _rows(self, account: str) -> QuerySet[RateSlot]:
        return RateSlot.objects.using(self._database).filter(account=account)

    def _arguments(self, account: Account, is_new: bool, lost_hold: timedelta, last: int) -> list[Any]:
        ttl = int(TTL.total_seconds())
        return [self._now(), account.slots, lost_hold // MICROSECOND, ttl, "1" if is_new else "0", last]

    def _now(self) -> int | str:
        return "" if self._clock is None else (self._clock() - UNIX) // MICROSECOND

    def _run(self, script: str, account: str, arguments: Sequence[Any]) -> Any:
        import redis

        keys = [f"{PREFIX}:{account}:slots", f"{PREFIX}:{account}:server"]
        try:
            return self._scripts[script](keys=keys, args=arguments)
        except (redis.RedisError, OSError, UnicodeError) as error:
            # Their texts name the host and the port, never what the URL holds besides.
            raise StoreUnreachable(f"The governor's Redis failed ({type(error).__name__}: {error}).") from None


@lru_cache(maxsize=8)
def _scripts(url: str) -> dict[str, Any]:
    """The scripts on a pool of connections of this process. Raises `ImproperlyConfigured`."""
    client = client_of(url)
    named = {"take": TAKE, "pause": PAUSE, "wait": WAIT, "give_back": GIVE_BACK}
    return {name: client.register_script(text) for name, text in named.items()}


def client_of(url: str) -> redis.Redis:
    """A client that gives up soon, not yet connected. Raises `ImproperlyConfigured`."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ImproperlyConfigured(
            'PUSHWOOSH["GOVERNOR"] names Redis, whose client is missing: pip install "django-pushwoosh[redis]".'
        ) from None
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            # A grant that is asked for twice costs a slot for a minute and a half, and the worker its time.
            retry=Retry(NoBackoff(), 0),
        )
    except (TypeError, ValueError):
        # The error's text may hold the password.
        raise ImproperlyConfigured('PUSHWOOSH["GOVERNOR"] is a URL that the client of Redis cannot read.') from None
