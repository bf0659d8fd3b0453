"""A small shop that uses django-pushwoosh."""

from example_project.celery import app as celery_app

__all__ = ["celery_app"]
