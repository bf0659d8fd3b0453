"""What other apps may listen to."""

from django.dispatch import Signal

entry_queued = Signal()
"""After the commit that queued something: `using`, the database's alias. The engines wake up by it."""

message_settled = Signal()
"""A dispatch of a message reached its end: `dispatch`."""

application_paused = Signal()
"""Pushwoosh condemned an application's account or token: `application` (code), `reason`."""
