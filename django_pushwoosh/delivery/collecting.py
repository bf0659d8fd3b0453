"""Keeps Python's collector of cyclic garbage from looking through rows that are on their way.

A thousand entries and what belongs to them are tens of thousands of objects, none of them garbage; looking through them
again and again cost a sixth of a worker's time.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_paused = threading.Lock()


@contextmanager
def collected_afterwards() -> Iterator[None]:
    """Let no collection begin within the block, if this thread is the first to ask; what it left is collected then."""
    is_ours = gc.isenabled() and _paused.acquire(blocking=False)
    if is_ours:
        gc.disable()
    try:
        yield
    finally:
        if is_ours:
            gc.enable()
            _paused.release()
            gc.collect(1)
