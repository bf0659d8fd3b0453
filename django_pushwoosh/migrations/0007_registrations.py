"""When a device registered; and on PostgreSQL the function by which `delivery.device_statement` notes a registration
and queues it.

What it writes has to be a whole row of each table: whoever adds a column replaces the function in the same migration.
"""

from typing import Any

from django.db import migrations, models

CREATE = """
CREATE OR REPLACE FUNCTION django_pushwoosh_queue_registration(
    said_application text,
    said_hwid text,
    said_platform integer,
    reached_by_hwid integer[],
    said_token text,
    said_language text,
    said_offset integer,
    said_model text,
    said_os text,
    said_app text,
    said_sdk text,
    said_tags jsonb,
    removed_tags text[],
    tags_room integer,
    said_extra jsonb,
    extra_room integer,
    said_user text,
    strange_names text[],
    strange_types integer[],
    most_tags integer,
    its_api_root text,
    its_raw bytea,
    its_key text,
    its_lane integer,
    its_bulk_method text,
    its_is_tokenless boolean,
    at timestamptz,
    OUT entry_id bigint,
    OUT are_learned boolean
) LANGUAGE plpgsql AS $$
DECLARE
    its_device bigint;
BEGIN
    INSERT INTO django_pushwoosh_device AS known (
        application, hwid, platform, push_token, language, utc_offset_seconds, device_model, os_version, app_version,
        sdk_version, badge, tags, extra, unsubscribed_reason, created_at, registered_at, updated_at
    ) VALUES (
        said_application, said_hwid, said_platform,
        CASE WHEN said_platform = ANY (reached_by_hwid) THEN said_hwid ELSE coalesce(said_token, '') END,
        coalesce(said_language, ''), said_offset, coalesce(said_model, ''), coalesce(said_os, ''),
        coalesce(said_app, ''), coalesce(said_sdk, ''), 0, coalesce(said_tags, '{}'), coalesce(said_extra, '{}'),
        '', at, at, at
    )
    ON CONFLICT (application, hwid) DO UPDATE SET
        -- What a known device is reached by, its own platform decides, and not the one that came.
        platform = CASE WHEN said_platform = ANY (reached_by_hwid) OR known.platform = ANY (reached_by_hwid)
            THEN known.platform ELSE said_platform END,
        push_token = CASE WHEN known.platform = ANY (reached_by_hwid)
            THEN known.hwid ELSE coalesce(said_token, known.push_token) END,
        unsubscribed_at = CASE WHEN said_token IS NULL AND known.platform <> ALL (reached_by_hwid)
            THEN known.unsubscribed_at END,
        unsubscribed_reason = CASE WHEN said_token IS NULL AND known.platform <> ALL (reached_by_hwid)
            THEN known.unsubscribed_reason ELSE '' END,
        language = coalesce(said_language, known.language),
        utc_offset_seconds = coalesce(said_offset, known.utc_offset_seconds),
        device_model = coalesce(said_model, known.device_model),
        os_version = coalesce(said_os, known.os_version),
        app_version = coalesce(said_app, known.app_version),
        sdk_version = coalesce(said_sdk, known.sdk_version),
        tags = CASE WHEN said_tags IS NULL THEN known.tags
            ELSE (known.tags || said_tags) - coalesce(removed_tags, '{}') END,
        extra = CASE WHEN said_extra IS NULL THEN known.extra ELSE known.extra || said_extra END,
        registered_at = at,
        updated_at = at
    WHERE (said_tags IS NULL OR octet_length(known.tags::text) <= tags_room)
        AND (said_extra IS NULL OR octet_length(known.extra::text) <= extra_room)
    RETURNING known.id INTO its_device;
    IF its_device IS NULL THEN
        RETURN;
    END IF;

    -- A statement sees what was committed before it: whoever changed the links meanwhile held the device's row.
    IF said_user <> '' THEN
        UPDATE django_pushwoosh_userlink SET until = at, is_open = NULL
            WHERE device_id = its_device AND is_open AND user_id <> said_user;
        IF said_user <> said_hwid AND NOT EXISTS (
            SELECT FROM django_pushwoosh_userlink WHERE device_id = its_device AND is_open
        ) THEN
            INSERT INTO django_pushwoosh_userlink (device_id, user_id, since, is_open)
                VALUES (its_device, said_user, at, true);
        END IF;
    END IF;

    are_learned := false;
    IF cardinality(strange_names) > 0 THEN
        WITH strange AS (
            SELECT named.name, named.type FROM unnest(strange_names, strange_types) AS named (name, type)
            WHERE NOT EXISTS (
                SELECT FROM django_pushwoosh_tagdefinition AS tag
                WHERE tag.application = said_application AND tag.name = named.name
            )
        ), learned AS (
            INSERT INTO django_pushwoosh_tagdefinition (application, name, type, source)
            SELECT said_application, strange.name, strange.type, 'learned' FROM strange
            WHERE (SELECT count(*) FROM django_pushwoosh_tagdefinition WHERE application = said_application)
                + (SELECT count(*) FROM strange) <= most_tags
            ON CONFLICT (application, name) DO NOTHING RETURNING 1
        )
        SELECT (SELECT count(*) FROM learned) = (SELECT count(*) FROM strange) INTO are_learned;
    END IF;

    INSERT INTO django_pushwoosh_outboxentry (
        application, api_root, method, arguments, raw, key, lane, is_capped, bulk_method, is_alone, is_tokenless,
        status, due_at, created_at, attempts_made, lease_owner, told
    ) VALUES (
        said_application, its_api_root, 'registerDevice', '{}', its_raw, its_key, its_lane, false, its_bulk_method,
        false, its_is_tokenless, 'queued', at, at, 0, '', ''
    ) RETURNING id INTO entry_id;
END
$$
"""
DROP = "DROP FUNCTION IF EXISTS django_pushwoosh_queue_registration"


def create(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE, params=None)


def drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP, params=None)


class Migration(migrations.Migration):
    dependencies = [("django_pushwoosh", "0006_speakers")]

    operations = [
        migrations.AddField(
            "device", "registered_at", models.DateTimeField("last registered at", blank=True, null=True)
        ),
        migrations.RunPython(create, drop),
    ]
