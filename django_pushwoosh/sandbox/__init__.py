"""A stand-in for Pushwoosh: a plain WSGI application, without Django, that behaves as Pushwoosh documents itself.

`python -m django_pushwoosh.sandbox` runs it; `Sandbox` is it.
"""

from django_pushwoosh.sandbox.app import Phone, Sandbox
from django_pushwoosh.sandbox.clock import SetClock
from django_pushwoosh.sandbox.journal import BadJournal, Journal
from django_pushwoosh.sandbox.state import Application

__all__ = ["Application", "BadJournal", "Journal", "Phone", "Sandbox", "SetClock"]
