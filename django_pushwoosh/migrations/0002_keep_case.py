"""On MariaDB and MySQL, where text compares without regard to case by default, ids and names keep theirs."""

from typing import Any

from django.db import migrations

COLUMNS = {
    "Device": ("hwid",),
    "UserLink": ("user_id",),
    "OutboxEntry": ("key",),
    "TagDefinition": ("name",),
}


def keep_case(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "mysql":
        return
    quote = schema_editor.quote_name
    for model_name, columns in COLUMNS.items():
        model = apps.get_model("django_pushwoosh", model_name)
        for column in columns:
            length = model._meta.get_field(column).max_length
            schema_editor.execute(
                f"ALTER TABLE {quote(model._meta.db_table)} MODIFY {quote(column)} "
                f"varchar({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"
            )


class Migration(migrations.Migration):
    # MariaDB and MySQL commit at every change of a table.
    atomic = False
    dependencies = [("django_pushwoosh", "0001_initial")]

    operations = [migrations.RunPython(keep_case, migrations.RunPython.noop)]
