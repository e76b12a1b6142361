"""The moving window that tells what is left in the same breath as it counts."""

import time
from collections.abc import Callable

from limits import RateLimitItem
from limits.storage.redis import RedisStorage
from limits.strategies import STRATEGIES, MovingWindowRateLimiter
from limits.util import WindowStats

STRATEGY = "moving-window-telling"
COUNT_AND_TELL = """
local now, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function is_inside(index)
    local at = redis.call('lindex', KEYS[1], index)
    return at and tonumber(at) >= now - window
end
local has_room = not is_inside(limit - 1)
if has_room then
    redis.call('lpush', KEYS[1], ARGV[1])
    redis.call('ltrim', KEYS[1], 0, limit - 1)
    redis.call('expire', KEYS[1], window)
end
local low, high = 0, redis.call('llen', KEYS[1])
while low < high do
    local middle = math.floor((low + high) / 2)
    if is_inside(middle) then low = middle + 1 else high = middle end
end
return {has_room and 1 or 0, low, low > 0 and redis.call('lindex', KEYS[1], low - 1) or ARGV[1]}
"""
"""The library's list of times, newest first, under its own key; answers whether there was room,
how many times are inside the window, and the oldest of them."""


class TellingWindow(MovingWindowRateLimiter):
    """The library's moving window, but one call to Redis where its own takes two.

    A hit remembers for the rest of the request what it left, because every answer says so in its
    header fields.
    """

    _script: Callable[[list[str], list[float]], list[bytes]] | None = None
    request_stats: Callable[[], dict[tuple[str, ...], WindowStats]]

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Spend one of the limit, and return whether there was one to spend."""
        if not isinstance(self.storage, RedisStorage):
            return super().hit(item, *identifiers, cost=cost)
        has_room, inside, oldest = self._count(self.storage, item, item.key_for(*identifiers))
        stats = WindowStats(float(oldest) + item.get_expiry(), item.amount - int(inside))
        self.request_stats()[identifiers] = stats
        return bool(has_room)

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return when the oldest use is forgotten, and how many are left."""
        return self.request_stats().get(identifiers) or super().get_window_stats(item, *identifiers)

    def _count(self, storage: RedisStorage, item: RateLimitItem, name: str) -> list[bytes]:
        if self._script is None:
            self._script = storage.get_connection().register_script(COUNT_AND_TELL.encode())
        key = storage.prefixed_key(name)
        return self._script([key], [time.time(), item.amount, item.get_expiry()])


def register(request_stats: Callable[[], dict[tuple[str, ...], WindowStats]]) -> None:
    """Let `RATELIMIT_STRATEGY` name the window.

    `request_stats` returns where the current request remembers what its hits have left.
    """
    TellingWindow.request_stats = staticmethod(request_stats)
    STRATEGIES[STRATEGY] = TellingWindow
