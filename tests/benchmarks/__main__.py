"""`make bench`: prints a table, and writes it as JSON to the file that BENCH_JSON names."""

from __future__ import annotations

import os
import subprocess
import sys

import django

from tests.servers import POSTGRES_URL, answers


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    # Where there is one, what is written is written to PostgreSQL.
    if answers(POSTGRES_URL):
        os.environ.setdefault("DATABASE_URL", POSTGRES_URL)
    django.setup()
    from django.test.runner import DiscoverRunner
    from django.test.utils import setup_test_environment, teardown_test_environment

    from tests.benchmarks import filters, harness, messages, outbox

    setup_test_environment()
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        found = [each for module in (messages, filters, outbox) for each in module.benchmarks()]
        harness.report([harness.measured(benchmark) for benchmark in found])
    finally:
        runner.teardown_databases(databases)
        teardown_test_environment()
    # In processes of their own, for they make databases too.
    for name in ("delivery", "governor", "gateway"):
        if answers(POSTGRES_URL):
            subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}"], check=True)
        else:
            print(f"{name}: not measured, for PostgreSQL does not answer")


if __name__ == "__main__":
    main()
