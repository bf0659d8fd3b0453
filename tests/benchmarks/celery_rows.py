"""The peer of draining in bulk: a Celery task for each row, with Django's connections kept open between tasks."""

from __future__ import annotations

import json
import os
import threading

import requests
from celery import Celery
from django.db import connection, transaction

from tests.servers import AMQP_URL

app = Celery("rows", broker=AMQP_URL)
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    task_default_queue="benchmark-rows",
    # Otherwise Celery closes the connection around every task.
    CELERY_DB_REUSE_MAX=1000,
)
_local = threading.local()


@app.task
def send(pk: int) -> None:
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT hwid, tags FROM benchmark_row WHERE id = %s FOR UPDATE", [pk])
        row = cursor.fetchone()
        if row is None:
            return
        request = {"application": "BENCH-00001", "hwid": row[0], "tags": json.loads(row[1])}
        root = os.environ["BENCH_ROOT"]
        _local.session.post(f"{root}/json/1.3/setTags", json={"request": request}).raise_for_status()
        cursor.execute("DELETE FROM benchmark_row WHERE id = %s", [pk])
