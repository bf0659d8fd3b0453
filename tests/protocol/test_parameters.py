"""Table one: every row can be used as it says."""

from __future__ import annotations

import json
import re

import pytest

from django_pushwoosh.protocol import parameters
from django_pushwoosh.protocol.messages import Message
from django_pushwoosh.protocol.parameters import BY_NAME, GROUPS, PARAMETERS, Parameter
from django_pushwoosh.protocol.platforms import IE11, IOS, PLATFORMS, SAFARI, SMS

DOCUMENTED = set(
    """
send_date ignore_user_timezone timezone campaign geozone content title subtitle rich_media link minimize_link data
transactionId platforms preset send_rate template_bindings capping_days capping_count inbox_date inbox_image inbox_days
devices users filter dynamic_content_placeholders conditions conditions_operator
ios_badges ios_sound ios_ttl ios_silent ios_category_id ios_root_params apns_trim_content ios_trim_content
ios_attachment ios_title ios_subtitle ios_thread_id ios_critical ios_interruption_level
android_root_params android_sound android_header android_icon android_custom_icon android_banner android_badges
android_gcm_ttl android_vibration android_led android_priority android_delivery_priority android_ibc android_silent
huawei_android_badges huawei_android_silent huawei_android_icon huawei_android_led huawei_android_vibration
huawei_android_sound huawei_android_sound_off huawei_android_custom_icon huawei_android_header huawei_android_gcm_ttl
huawei_android_banner huawei_android_root_params huawei_android_priority huawei_android_ibc huawei_android_lockscreen
huawei_android_delivery_priority
safari_title safari_action safari_url_args safari_ttl
chrome_title chrome_icon chrome_gcm_ttl chrome_duration chrome_image chrome_root_params chrome_button_text1
chrome_button_url1 chrome_button_text2 chrome_button_url2
firefox_title firefox_icon firefox_root_params
adm_root_params adm_sound adm_header adm_icon adm_custom_icon adm_banner adm_ttl adm_priority
mac_badges mac_sound mac_root_params mac_ttl
wns_content wns_type wns_tag wns_cache wns_ttl
page_id rich_page_id
""".split()  # noqa: SIM905 (a table of names is read as a table)
)
"""Every parameter in Pushwoosh's examples of createMessage, and the two of createTargetedMessage alone."""

NEWER = {"capping_avoid", "capping_exclude", "live_activity", "live_activity_id"}


def names(parameter: Parameter) -> str:
    return parameter.name


def test_every_documented_parameter_has_a_row_and_no_other_has() -> None:
    assert set(BY_NAME) == DOCUMENTED | NEWER
    assert len(BY_NAME) == len(PARAMETERS)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=names)
def test_a_row_takes_its_example_and_sends_it_as_documented(parameter: Parameter) -> None:
    sent = parameter.kind.clean(parameter.example, parameter.name)
    assert json.loads(json.dumps(sent)) == parameter.example
    assert type(sent) is type(parameter.example)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=names)
def test_a_row_can_be_shown_in_a_form(parameter: Parameter) -> None:
    assert parameter.label[0].isupper()
    assert parameter.label[-1] != "."
    assert parameter.help[-1] == "."
    assert parameter.group in GROUPS
    assert parameter.kind.describe()


@pytest.mark.parametrize("parameter", PARAMETERS, ids=names)
def test_the_rows_of_a_platform_bear_its_prefix(parameter: Parameter) -> None:
    if parameter.platform is None:
        assert parameter.group != "platform"
    else:
        assert parameter.group == "platform"
        if parameter.name not in ("apns_trim_content", "live_activity", "live_activity_id"):
            assert parameter.name.startswith(parameter.platform.prefix)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=names)
def test_help_mentions_only_parameters_that_exist(parameter: Parameter) -> None:
    for name in re.findall(r"`([a-z]+_[a-z_]+)`", parameter.help):
        assert name in BY_NAME or name == "pw_channel"


@pytest.mark.parametrize(
    "parameter", [row for row in PARAMETERS if row.group not in ("schedule", "audience")], ids=names
)
def test_a_message_carries_the_example_through_its_json(parameter: Parameter) -> None:
    needed = {
        "content": "Hello",
        **({"capping_count": 1} if parameter.name == "capping_days" else {}),
        **({"capping_days": 1} if parameter.name == "capping_count" else {}),
        **({"wns_type": "Tile"} if parameter.name == "wns_content" else {}),
        **({"safari_title": "Title", "safari_url_args": [""]} if parameter.platform is SAFARI else {}),
    }
    message = Message(**{**needed, parameter.name: parameter.example})
    assert message.parameters[parameter.name] == parameter.example
    assert Message.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_within_a_platform_and_within_a_group_labels_are_told_apart() -> None:
    for rows in [parameters.of(platform) for platform in PLATFORMS] + [parameters.of(None)]:
        labels = [row.label for row in rows]
        assert len(set(labels)) == len(labels)


def test_rows_are_found_by_platform_and_by_group() -> None:
    found = [row for platform in (None, *PLATFORMS) for row in parameters.of(platform)]
    assert sorted(map(names, found)) == sorted(BY_NAME)
    assert BY_NAME["ios_badges"] in parameters.of(IOS)
    assert parameters.of(SMS) == parameters.of(IE11) == ()
    assert [row.name for row in parameters.in_group("inbox")] == ["inbox_date", "inbox_days", "inbox_image"]
    with pytest.raises(KeyError):
        parameters.in_group("utils")


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        ("ios_silent", True, 1),
        ("android_silent", False, 0),
        ("apns_trim_content", True, 1),
        ("android_vibration", True, 1),
        ("huawei_android_lockscreen", True, 1),
        ("wns_cache", True, 1),
        ("ios_critical", 1, True),
        ("huawei_android_sound_off", 1, True),
        ("ios_badges", 5, 5),
        ("ios_badges", "+1", "+1"),
    ],
)
def test_truth_is_written_as_the_documents_write_it(name: str, given: object, sent: object) -> None:
    cleaned = BY_NAME[name].kind.clean(given)
    assert cleaned == sent
    assert type(cleaned) is type(sent)
