"""Keeps Python's collector of cyclic garbage from looking through rows that are on their way.

A thousand entries and what belongs to them are tens of thousands of objects, none of them garbage; looking through them
again and again cost a sixth of a worker's time.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_is_paused = False


@contextmanager
def collected_afterwards() -> Iterator[None]:
    """Let no collection begin while any thread is within such a block; what this one left is collected then."""
    global _inside, _is_paused
    with _lock:
        _inside += 1
        if _inside == 1 and gc.isenabled():
            gc.disable()
            _is_paused = True
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            is_paused = _is_paused
            if not _inside and _is_paused:
                gc.enable()
                _is_paused = False
        if is_paused:
            # Also where another thread is within: they could take turns for ever.
            gc.collect(1)
