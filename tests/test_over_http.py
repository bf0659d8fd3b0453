"""Every method, called by the client against the sandbox over HTTP, judged by what the sandbox then holds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import waitress

from django_pushwoosh.client import Client
from django_pushwoosh.protocol.answers import CODE_NOT_AVAILABLE
from django_pushwoosh.protocol.calls import METHODS
from django_pushwoosh.protocol.errors import BadArgument, BadToken
from django_pushwoosh.sandbox.app import Sandbox
from django_pushwoosh.sandbox.state import Application

APPLICATION = "HTTP0-00001"


class SetClock:
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def sandbox(clock: SetClock) -> Sandbox:
    return Sandbox([Application(APPLICATION, "api", "device")], clock)


class Hall:
    """One server for all tests here; each has a sandbox of its own behind it."""

    sandbox: Sandbox

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self.sandbox.wsgi(environ, start_response)


@pytest.fixture(scope="module")
def hall() -> Iterator[tuple[Hall, str]]:
    hall = Hall()
    server = waitress.create_server(hall.wsgi, host="127.0.0.1", port=0, threads=2, clear_untrusted_proxy_headers=True)
    # A daemon: waitress ends its loop only after the last kept-alive connection, and ours outlives the tests.
    threading.Thread(target=server.run, daemon=True).start()
    yield hall, f"http://127.0.0.1:{server.effective_port}"
    server.task_dispatcher.shutdown()


@pytest.fixture
def address(sandbox: Sandbox, hall: tuple[Hall, str]) -> str:
    hall[0].sandbox = sandbox
    return hall[1]


@pytest.fixture
def client(address: str) -> Client:
    return Client(APPLICATION, api_token="api", device_token="device", api_root=address)


@pytest.fixture
def phones(client: Client) -> list[str]:
    """Twelve phones: enough that Pushwoosh keeps a record of a message to them."""
    hwids = [f"phone{number}" for number in range(12)]
    for number, hwid in enumerate(hwids):
        client.register_device(hwid, 3, push_token=f"token{number}", language="en", tags={"Age": 20 + number})
    return hwids


called: set[str] = set()


@pytest.fixture(autouse=True)
def note_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Client.ask

    def noting(self: Client, call: object, **options: object) -> object:
        called.add(call.method.name)  # type: ignore[attr-defined]
        return ask(self, call, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Client, "ask", noting)


class TestEveryMethod:
    def test_messages_are_created_looked_up_and_listed(
        self, client: Client, sandbox: Sandbox, phones: list[str]
    ) -> None:
        created = client.create_message([{"send_date": "now", "content": "Hello", "conditions": [["Age", "GTE", 30]]}])
        sandbox.advance()

        assert {push.device.hwid for push in sandbox.pushes} == {"phone10", "phone11"}
        assert sandbox.messages[0].code == created.codes[0]
        assert client.get_message_details(created.codes[0]).status == "done"
        rows = client.get_push_history(limit_messages=10).rows
        assert [(row.code, row.sent) for row in rows] == [(created.codes[0], 2)]

    def test_a_targeted_message_reaches_those_that_the_filter_names(
        self, client: Client, sandbox: Sandbox, phones: list[str]
    ) -> None:
        filtered = f'A("{APPLICATION}") * T("Age", BETWEEN, [21, 23]) \\ T("Age", EQ, 22)'
        created = client.create_targeted_message(filtered, content="Hello")
        sandbox.advance()

        # "\\" binds tighter than "*".
        assert {push.device.hwid for push in sandbox.pushes} == {"phone1", "phone3"}
        assert sandbox.messages[0].code == created.message_code

    def test_a_filter_that_does_not_compile_is_told_and_creates_nothing(self, client: Client, sandbox: Sandbox) -> None:
        with pytest.raises(BadArgument, match="compiling filter"):
            client.create_targeted_message('T("Age", BETWEEN, [1,5)', content="Hello")

        assert sandbox.messages == []

    def test_scheduled_messages_are_cancelled_and_deleted(
        self, client: Client, sandbox: Sandbox, phones: list[str], clock: SetClock
    ) -> None:
        later = {"send_date": "2026-03-02 13:00", "content": "Later"}
        [first], [second] = client.create_message([later]).codes, client.create_message([later]).codes

        client.cancel_message(first)
        client.delete_message(second)
        clock.now += timedelta(hours=2)
        sandbox.advance()

        assert sandbox.pushes == []
        assert [message.status for message in sandbox.messages] == ["canceled", "deleted"]
        with pytest.raises(BadArgument):
            client.delete_message(second)

    def test_a_small_immediate_push_leaves_no_record(self, client: Client, sandbox: Sandbox, phones: list[str]) -> None:
        created = client.create_message([{"send_date": "now", "content": "Hello", "devices": ["phone1", "nobody"]}])

        assert created.codes == (CODE_NOT_AVAILABLE,)
        assert created.unknown_devices == ("nobody",)

    def test_a_device_is_registered_tagged_read_and_unregistered(self, client: Client, sandbox: Sandbox) -> None:
        client.register_device("phone", 1, push_token="ab" * 32, language="fr", tags={"City": "Oslo"})
        client.set_tags({"Level": {"operation": "increment", "value": 2}, "City": None}, hwid="phone")
        client.set_badge("phone", 4)
        client.application_open("phone")

        device = sandbox.phone("phone").device
        assert device.badge == 4
        assert device.last_open_at is not None
        assert client.get_tags(hwid="phone").values["Level"] == 2
        assert "City" not in client.get_tags(hwid="phone").values

        client.unregister_device("phone")
        assert not sandbox.phone("phone").device.is_subscribed

    def test_an_address_is_registered(self, client: Client, sandbox: Sandbox) -> None:
        client.register_email("ada@example.com", language="en", userId="ada")

        assert sandbox.phone("ada@example.com").device.user_id == "ada"

    def test_opens_and_deliveries_are_counted_for_the_message(
        self, client: Client, sandbox: Sandbox, phones: list[str]
    ) -> None:
        client.create_message([{"send_date": "now", "content": "Hello"}])
        sandbox.advance()
        push = sandbox.phone("phone3").pushes[-1]

        client.message_delivery_event("phone3", hash=push.payload["p"])
        client.push_stat("phone3", hash=push.payload["p"])

        assert [statistic.message for statistic in sandbox.statistics] == [push.message.code] * 2
        assert client.get_push_history(limit_messages=10).rows[0].opened == 1

    def test_a_device_moves_between_users_and_users_are_deleted(
        self, client: Client, sandbox: Sandbox, phones: list[str]
    ) -> None:
        client.register_user("phone1", "ada")
        client.register_user("phone2", "ada")
        client.register_user("phone2", "grace")
        client.create_message([{"send_date": "now", "content": "Hello", "users": ["ada"]}])
        sandbox.advance()
        assert [push.device.hwid for push in sandbox.pushes] == ["phone1"]

        client.delete_user("ada")
        sandbox.advance()
        assert (APPLICATION, "phone1") not in sandbox.devices
        assert (APPLICATION, "phone2") in sandbox.devices

    def test_an_event_is_kept_with_its_attributes(self, client: Client, sandbox: Sandbox, phones: list[str]) -> None:
        client.post_event("Purchase", {"price": 9.99}, hwid="phone1", user_id="ada")

        [event] = sandbox.events
        assert (event.name, event.attributes, event.hwid) == ("Purchase", {"price": 9.99}, "phone1")

    def test_many_devices_are_registered_and_tagged_by_jobs(
        self, client: Client, sandbox: Sandbox, clock: SetClock
    ) -> None:
        rows = [{"hwid": f"bulk{n}", "push_token": f"token{n}", "platform": 3, "tags": {"Age": n}} for n in range(60)]
        registering = client.bulk_register_device(rows)
        assert client.bulk_register_device_status(registering.request_id).status == "Pending"
        clock.now += timedelta(minutes=1)
        status = client.bulk_register_device_status(registering.request_id, detailed=True)
        assert (status.is_ended, status.succeeded) == (True, 60)
        assert sandbox.phone("bulk7").device.tags["Age"] == 7

        tagging = client.bulk_set_tags(
            [{"hwid": f"bulk{n}", "list_operator": "set", "tags": {"Age": "many"}} for n in range(59)]
            + [{"hwid": "nobody", "list_operator": "set", "tags": {"Age": 1}}]
        )
        clock.now += timedelta(minutes=1)
        report = client.bulk_set_tags_status(tagging.request_id, detailed=True)
        assert report.not_found == 1
        assert report.devices[0].tags["Age"].startswith("wrong value")
        assert sandbox.phone("bulk7").device.tags["Age"] == 7

    @pytest.mark.parametrize("name", ["createMessage", "setTags"])
    def test_a_wrong_token_changes_nothing(self, address: str, sandbox: Sandbox, name: str) -> None:
        wrong = Client(APPLICATION, api_token="device", device_token="api", api_root=address)

        calls = {
            "createMessage": lambda: wrong.create_message([{"send_date": "now", "content": "Hello"}]),
            "setTags": lambda: wrong.set_tags({"Age": 3}, hwid="phone"),
        }

        with pytest.raises((BadArgument, BadToken)):
            calls[name]()

        assert sandbox.messages == []
        assert sandbox.devices == {}

    def test_every_documented_method_was_called(self) -> None:
        assert called == {name for name, method in METHODS.items() if method.is_documented}
