"""What other apps may listen to."""

from django.dispatch import Signal

entry_queued = Signal(use_caching=True)
"""After the commit that queued something: `using`, the database's alias. The engines wake up by it."""

devices_unknown = Signal()
"""After the commit: an accepted message listed recipients that Pushwoosh does not know.

`application` (code); `hwids` of the devices that the mirror has as unreachable since now; `strangers`, recipients that
the mirror does not have either; `dispatch`, `None` if it was deleted meanwhile. Not sent where nothing is new.
"""

message_settled = Signal()
"""A dispatch of a message reached its end: `dispatch`."""

application_paused = Signal()
"""Pushwoosh condemned an application's account or token: `application` (code), `reason`."""
