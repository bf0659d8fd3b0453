"""Settings of the processes of an ordeal; where everything is comes from the environment."""

import os

from tests.ordeal.marks import API_TOKEN, CODE, DEVICE_TOKEN
from tests.settings import *  # noqa: F403
from tests.settings import PUSHWOOSH

PUSHWOOSH = {
    **PUSHWOOSH,
    "APPLICATIONS": {"default": {"CODE": CODE, "API_TOKEN": API_TOKEN, "DEVICE_TOKEN": DEVICE_TOKEN}},
    "API_ROOT": os.environ["ORDEAL_API_ROOT"],
    "TRANSPORT": "",
    "ENGINE": os.environ.get("ORDEAL_ENGINE", "command"),
    "CONNECTIONS": int(os.environ["ORDEAL_CONNECTIONS"]),
    # Longer than any delay of the sandbox: what took effect after it was given up would come twice by right.
    "TIMEOUT": (3.05, 10.0),
    # So that an event, too, takes effect once or not at all.
    "REPEAT_EVENTS": False,
}
