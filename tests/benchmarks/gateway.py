"""The gateway under gunicorn, beside the peers' device endpoints and bare views: requests a second, and what they cost.

`python -m tests.benchmarks.gateway [registering] [relaying] [stampede]` measures and prints. All stand in one project
behind two workers, the same middleware and one PostgreSQL; they are called in turns, round by round, so that a noisy
machine hits all alike. CPU is that of the workers and of the database processes that serve them, from /proc; what the
load generator costs is not counted, but it shares the machine, and so do all.

The throttle counts in Django's default cache, which each worker has to itself; BENCH_CACHE=redis://… has it shared.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.benchmarks.gateway_settings import CODE, DEVICE_TOKEN
from tests.benchmarks.harness import machine
from tests.benchmarks.load import Answered, Load, answered
from tests.benchmarks.upstream import upstream
from tests.databases import own_postgresql
from tests.processes import running, until
from tests.servers import answers, free_port

ROUNDS = int(os.environ.get("BENCH_ROUNDS", 15))
CALLS = int(os.environ.get("BENCH_CALLS", 500))
STAMPEDE_SECONDS = float(os.environ.get("BENCH_STAMPEDE_SECONDS", 60))
STAMPEDE_SHARE = 0.6
STAMPEDE_DEVICES = 100_000
ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
KNOWN = 500
"""Devices that register again and again."""
TICKS = os.sysconf("SC_CLK_TCK")
ENVELOPE = '"status_code":200'

REGISTER = json.dumps(
    {
        "request": {
            "application": CODE,
            "hwid": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
            "v": "6.10.0",
            "device_type": 3,
            "userId": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
            "language": "en",
            "timezone": 7200,
            "android_package": "com.example.app",
            "device_model": "Google Pixel 8",
            "device_name": "Phone",
            "os_version": "15",
            "app_version": "4.2.0",
            "notificationTypes": 6,
            "push_token": "fEx4mpleT0ken:APA91bExampleExampleExampleExample{n}",
            "tags": {"Age": 25},
            "sounds": ["ding"],
        }
    }
)
EVENT = json.dumps(
    {
        "request": {
            "application": CODE,
            "hwid": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
            "v": "6.10.0",
            "device_type": 3,
            "userId": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
            "event": "Bought",
            "attributes": {"price": 9.99, "vip": True},
            "timestampUTC": 1753500000,
            "timestampCurrent": 1753507200,
        }
    }
)
DELIVERED = json.dumps(
    {
        "request": {
            "application": CODE,
            "hwid": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
            "v": "6.10.0",
            "device_type": 3,
            "userId": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
            "hash": "a_1_2_1-1",
            "metaData": '{"uid":"123"}',
        }
    }
)
TOKEN = {"Authorization": f"Token {DEVICE_TOKEN}"}
ASKED = f'{{"request":{{"application":"{CODE}","hwid":"5b0c2f0e-6d1f-4a4e-9a53-{{n}}","v":"6.10.0","device_type":3}}}}'


@dataclass(frozen=True)
class Variant:
    """One address that is measured; `load` lacks its port."""

    name: str
    load: Load


OURS = Variant("ours", Load(0, "/json/1.3/registerDevice", REGISTER, ENVELOPE, CALLS, headers=TOKEN))
UPSERT = Variant("bare upsert", Load(0, "/bare/upsert", REGISTER, ENVELOPE, CALLS))
PEERS = (
    Variant(
        "django-push-notifications, GCM",
        Load(
            0,
            "/peers/gcm/",
            json.dumps(
                {
                    "name": "Phone",
                    "registration_id": "fEx4mpleT0ken:APA91bExampleExampleExampleExample{n}",
                    "device_id": "0x5b0c{n}",
                    "active": True,
                    "cloud_message_type": "FCM",
                }
            ),
            '"registration_id":',
            CALLS,
        ),
    ),
    Variant(
        "django-push-notifications, APNS",
        Load(
            0,
            "/peers/apns/",
            json.dumps(
                {
                    "name": "Phone",
                    "registration_id": "a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7b8c9d0a1b2c3d4e5f6a7{n}",
                    "device_id": "5b0c2f0e-6d1f-4a4e-9a53-00{n}",
                    "active": True,
                }
            ),
            '"registration_id":',
            CALLS,
        ),
    ),
    Variant(
        "fcm-django",
        Load(
            0,
            "/peers/fcm/",
            json.dumps(
                {
                    "name": "Phone",
                    "registration_id": "fEx4mpleT0ken:APA91bExampleExampleExampleExample{n}",
                    "device_id": "5b0c2f0e-6d1f-4a4e-9a53-{n}",
                    "active": True,
                    "type": "android",
                }
            ),
            '"registration_id":',
            CALLS,
        ),
    ),
)


@dataclass(frozen=True)
class Measured:
    """Requests a second, and milliseconds of CPU for one request: in the workers, and in their database's processes."""

    rate: float
    cpu: float
    database_cpu: float


@dataclass(frozen=True)
class Server:
    """Gunicorn with a project's workers, and the database that they write to."""

    pid: int
    port: int
    database: str
    environment: dict[str, str]

    def measure(self, load: Load) -> Measured:
        before, database_before = self._cpu(), self._database_cpu()
        told = self.call(load)
        cpu, database_cpu = self._cpu() - before, self._database_cpu() - database_before
        return Measured(told.good / told.seconds, cpu / load.total * 1000, database_cpu / load.total * 1000)

    def call(self, load: Load) -> Answered:
        told = answered(replace(load, port=self.port))
        if told.good != load.total:
            raise AssertionError(f"{load.path}: {told.bad}")
        return told

    def clear(self) -> None:
        tables = "django_pushwoosh_outboxentry, django_pushwoosh_userlink, django_pushwoosh_device"
        peers = "push_notifications_gcmdevice, push_notifications_apnsdevice, fcm_django_fcmdevice"
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {tables}, {peers} CASCADE")

    def fill_devices(self, count: int) -> None:
        """Devices that the mirror knows, by the names that calls have for them."""
        columns = (
            "application, hwid, platform, push_token, language, device_model, os_version, app_version, sdk_version"
        )
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(
                f"INSERT INTO django_pushwoosh_device ({columns}, badge, tags, extra, unsubscribed_reason, created_at,"
                f" updated_at) SELECT '{CODE}', '5b0c2f0e-6d1f-4a4e-9a53-' || lpad(n::text, 10, '0'), 3, 'token', 'en',"
                " '', '', '', '', 0, '{}', '{}', '', now(), now() FROM generate_series(0, %s) n",
                [count - 1],
            )
        self.analyze()

    def sizes(self) -> dict[str, int]:
        """The rows of every table of ours."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            named = "SELECT tablename FROM pg_tables WHERE tablename LIKE 'django\\_pushwoosh\\_%'"
            tables = [name for (name,) in connection.execute(named)]
            # How far reports were added up is one row for ever.
            tables.remove("django_pushwoosh_statisticsmark")
            return {name: self.count(f"SELECT count(*) FROM {name}") for name in tables}

    def analyze(self) -> None:
        """As the server does by itself after a while; the planner takes a table that was just filled for empty."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("ANALYZE")

    def age_reports(self) -> None:
        """As if an hour had passed: reports are added up once they have a certain age, and go after that."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute("UPDATE django_pushwoosh_statistic SET at = at - interval '1 hour'")

    def count(self, query: str) -> int:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return int(connection.execute(query).fetchone()[0])  # type: ignore[index]

    @property
    def workers(self) -> list[str]:
        return Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()

    def _cpu(self) -> float:
        return sum(map(cpu_seconds, self.workers))

    def _database_cpu(self) -> float:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with psycopg.connect(self.database, autocommit=True) as connection:
            return sum(
                cpu_seconds(str(pid)) for (pid,) in connection.execute(query + " AND backend_type = 'client backend'")
            )


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.gateway_settings"
    print(machine(), flush=True)
    with own_postgresql("tests.benchmarks.gateway_settings") as database:
        for part in (registering, relaying, busy, stampede):
            if len(sys.argv) < 2 or part.__name__ in sys.argv[1:]:
                part(database)


def registering(database: str) -> None:
    """Devices that are new, and devices that are known: mirrored and queued, beside the peers' rows."""
    with gunicorn(database, BENCH_QUEUE_FIRST="yes") as server:
        for what, different in (("new devices", 10**9), ("registered again", KNOWN)):
            variants = [replace(each, load=replace(each.load, different=different)) for each in (OURS, UPSERT, *PEERS)]
            server.clear()
            rounds = in_turns(server, variants)
            told(what, rounds)
            ours, floor = rounds["ours"], rounds["bare upsert"]
            peers = [rounds[each.name] for each in PEERS]
            best = max(peers, key=lambda each: median(one.rate for one in each))
            frugal = min(peers, key=lambda each: median(one.cpu + one.database_cpu for one in each))
            verdict(f"{what}: requests a second, of the best peer's", ratios(ours, best, rate), least=2.0)
            verdict(f"{what}: CPU, of the most frugal peer's", ratios(ours, frugal, cpu), most=0.5)
            verdict(f"{what}: CPU, of a bare upsert's", ratios(ours, floor, cpu), most=1.5)
            kept = server.count("SELECT count(*) FROM django_pushwoosh_outboxentry")
            if kept != (ROUNDS + 1) * CALLS:
                raise AssertionError(f"{kept} entries were queued")


def relaying(database: str) -> None:
    """Calls that are passed on at once, beside a view that posts the same bytes."""
    with upstream(0.0) as root, gunicorn(database, BENCH_UPSTREAM=root) as server:
        server.clear()
        server.call(replace(OURS.load, total=KNOWN))
        for method, body in (("getTags", ASKED), ("postEvent", EVENT), ("registerDevice", REGISTER)):
            given: dict[str, Any] = {"different": KNOWN}
            variants = [
                Variant("ours", Load(0, f"/json/1.3/{method}", body, ENVELOPE, CALLS, headers=TOKEN, **given)),
                Variant("bare post", Load(0, f"/bare/post/{method}", body, ENVELOPE, CALLS, **given)),
            ]
            rounds = in_turns(server, variants)
            told(f"{method} relayed", rounds)
            verdict(f"{method}: CPU, of a bare post's", ratios(rounds["ours"], rounds["bare post"], cpu), most=2.0)


def busy(database: str) -> None:
    """Pushwoosh at 100 ms: two workers of four threads have eight relays under way, all the time.

    Three phones wait for each thread, for which of the workers takes a connection is the kernel's to say.
    """
    latency, threads = 0.1, 8
    options = ["--worker-class=gthread", "--threads=4", "--keep-alive=5"]
    with upstream(latency) as root, gunicorn(database, *options, BENCH_UPSTREAM=root) as server:
        server.clear()
        server.call(replace(OURS.load, total=KNOWN, phones=threads, good=ENVELOPE))
        given: dict[str, Any] = {"different": KNOWN, "phones": 3 * threads}
        variants = [
            Variant("ours", Load(0, "/json/1.3/postEvent", EVENT, ENVELOPE, CALLS, headers=TOKEN, **given)),
            Variant("bare post", Load(0, "/bare/post/postEvent", EVENT, ENVELOPE, CALLS, **given)),
        ]
        rounds = in_turns(server, variants)
        told(f"postEvent relayed at {latency * 1000:.0f} ms, {threads} threads", rounds)
        shares = [each.rate * latency / threads for each in rounds["ours"]]
        verdict("share of the time in which a connection is busy", shares, least=0.9)


def stampede(database: str) -> None:
    """After a broadcast every phone reports that it arrived; midway Pushwoosh goes away, and comes back at the end."""
    port = free_port()
    environment = {"BENCH_UPSTREAM": f"http://127.0.0.1:{port}"}
    load = Load(port, "/json/1.3/messageDeliveryEvent", DELIVERED, ENVELOPE, 0, headers=TOKEN, sources=ADDRESSES)
    with ExitStack() as stack:
        server = stack.enter_context(gunicorn(database, **environment))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server.clear()
        server.fill_devices(STAMPEDE_DEVICES)
        sizes = server.sizes()
        with running(["manage.py", "pushwoosh_worker"], folder / "worker.log", {**os.environ, **server.environment}):
            with upstream(0.2, port):
                ceiling = median(
                    server.measure(replace(load, total=CALLS, phones=8, first=number * CALLS)).rate
                    for number in range(ROUNDS)
                )
                rate = ceiling * STAMPEDE_SHARE
                total = int(rate * STAMPEDE_SECONDS)
                print(f"stampede: a ceiling of {ceiling:.0f}/s; {total} calls at {rate:.0f}/s", flush=True)
                calls = replace(
                    load, total=total, phones=60, rate=rate, first=ROUNDS * CALLS, different=STAMPEDE_DEVICES
                )
                stampeding = stack.enter_context(ThreadPoolExecutor(1)).submit(server.call, calls)
                time.sleep(STAMPEDE_SECONDS / 2)
            # Nobody answers there now.
            found = stampeding.result()
            waiting = server.count("SELECT count(*) FROM django_pushwoosh_outboxentry WHERE status <> 'sent'")
            print(f"  answered within {found.late_at(0.5) * 1000:.0f} ms in the middle")
            verdict("stampede: 99 % answered within seconds", [found.late_at(0.99)], most=1.0)
            verdict("stampede: good answers, of all", [found.good / total], least=1.0)
            with upstream(0.0, port):
                done = "SELECT count(*) FROM django_pushwoosh_outboxentry WHERE status = 'sent'"
                everything = ROUNDS * CALLS + total
                until(lambda: server.count(done) == everything, 600, "the delivery of what waited")
                print(f"  {waiting} waited when it ended, and were delivered", flush=True)
        server.age_reports()
        forgetful = {**os.environ, **server.environment, "BENCH_FORGETS": "yes"}
        with running(["manage.py", "pushwoosh_purge"], folder / "purge.log", forgetful) as purge:
            purge.wait(300)
        left = server.sizes()
        grown = {name: count - sizes[name] for name, count in left.items() if count != sizes[name]}
        verdict(f"stampede: rows that are left over {grown or ''}".rstrip(), [float(sum(grown.values()))], most=0.0)


def in_turns(server: Server, variants: list[Variant]) -> dict[str, list[Measured]]:
    """Each round calls each variant once. The first round, which warms up, is not counted."""
    rounds: dict[str, list[Measured]] = {each.name: [] for each in variants}
    for number in range(ROUNDS + 1):
        for each in variants:
            found = server.measure(replace(each.load, first=number * CALLS if each.load.different > KNOWN else 0))
            if number:
                rounds[each.name].append(found)
        if not number:
            server.analyze()
    return rounds


@contextmanager
def gunicorn(database: str, *options: str, **environment: str) -> Iterator[Server]:
    """The project under gunicorn with two workers."""
    port = free_port()
    command = ["-m", "gunicorn", "--workers=2", f"--bind=127.0.0.1:{port}", "--log-level=warning", *options]
    command.append("django.core.wsgi:get_wsgi_application()")
    settings = {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "tests.benchmarks.gateway_settings", **environment}
    with TemporaryDirectory() as folder:
        log = Path(folder) / "gunicorn.log"
        with running(command, log, settings) as process:
            until(lambda: answers(f"http://127.0.0.1:{port}"), 20, "the start of gunicorn")
            server = Server(process.pid, port, database, settings)
            until(lambda: len(server.workers) == 2, 20, "the start of both workers")
            yield server


def cpu_seconds(pid: str) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def rate(measured: Measured) -> float:
    return measured.rate


def cpu(measured: Measured) -> float:
    return measured.cpu + measured.database_cpu


def ratios(ours: list[Measured], theirs: list[Measured], of: Callable[[Measured], float]) -> list[float]:
    return [of(each) / of(other) for each, other in zip(ours, theirs, strict=True)]


def told(what: str, rounds: dict[str, list[Measured]]) -> None:
    print(f"{what}, load {os.getloadavg()[0]:.1f}")
    for name, found in rounds.items():
        print(
            f"  {name:32} {median(map(rate, found)):>7.0f}/s   workers {median(each.cpu for each in found):>6.3f} ms"
            f"   database {median(each.database_cpu for each in found):>6.3f} ms",
            flush=True,
        )


def verdict(what: str, figures: list[float], *, least: float | None = None, most: float | None = None) -> None:
    middle = median(figures)
    met = middle >= least if least is not None else middle <= (most or 0.0)
    goal = f"≥ {least}" if least is not None else f"≤ {most}"
    spread = f"{min(figures):.2f}–{max(figures):.2f}"
    print(f"{what:64} median {middle:>6.2f} ({spread})   goal {goal}{'' if met else ' !'}", flush=True)


if __name__ == "__main__":
    main()
