"""The schema's revisions: what a database has, and how it gets to what this code needs.

A revision is a file in `migrations/versions`. All that a database lacks is done in one transaction
of the caller's, so a start that fails leaves the database as it was.
"""

from __future__ import annotations

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect

BEFORE_REVISIONS = "0001"
"""What a database has that was made when there were no revisions."""


class SchemaMismatch(Exception):
    """This code can't use the database; nothing was changed. The words are for the operator."""


def bring_up_to_date(connection: Connection) -> None:
    """Make the tables of an empty database, or change those that are there to the newest revision.

    Args:
        connection: within a transaction that lets no other one write.

    Raises:
        SchemaMismatch: a newer Mayfly has changed the database, or nobody knows what it is.
    """
    config = _config(connection=connection)
    scripts = ScriptDirectory.from_config(config)
    present = MigrationContext.configure(connection).get_current_heads()
    unknown = set(present) - revisions()
    if unknown:
        raise SchemaMismatch(
            f"The database has revision {', '.join(sorted(unknown))}, and this Mayfly knows none "
            f"after {scripts.get_current_head()}: a newer Mayfly has used it. Nothing was changed. "
            "Install that Mayfly again, or restore a backup from before its first start."
        )
    if not present and _made_before_revisions(connection, scripts):
        command.stamp(config, BEFORE_REVISIONS)
    command.upgrade(config, "head")


def revisions() -> set[str]:
    """The revisions that this code knows."""
    return {each.revision for each in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config(**attributes: object) -> Config:
    config = Config(attributes=attributes)
    config.set_main_option("script_location", "mayfly.database:migrations")
    return config


def _made_before_revisions(connection: Connection, scripts: ScriptDirectory) -> bool:
    tables: MetaData = scripts.get_revision(BEFORE_REVISIONS).module.tables
    if tables.tables.keys().isdisjoint(inspect(connection).get_table_names()):
        return False
    ours = MigrationContext.configure(
        connection,
        opts={
            "include_name": lambda name, kind, _: kind != "table" or name in tables.tables,
        },
    )
    if compare_metadata(ours, tables):
        raise SchemaMismatch(
            "The database has tables of Mayfly's names, no revision, and not the columns and "
            f"indexes of revision {BEFORE_REVISIONS}: an older Mayfly has made it, or another "
            "program. Nothing was changed. Give this Mayfly an empty database (a value: "
            "gateway.database), or restore a backup."
        )
    return True
