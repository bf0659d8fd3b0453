"""Pushwoosh's remote API in Python, without Django: one attempt, a typed answer or a typed error."""

from django_pushwoosh.client.client import Client
from django_pushwoosh.client.transport import RequestsTransport, Transport

__all__ = ["Client", "RequestsTransport", "Transport"]
