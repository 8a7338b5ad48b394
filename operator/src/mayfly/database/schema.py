"""Schema migrations: the revision of a database, and the upgrade to the one this code needs.

A revision is a file in `migrations/versions`. All missing revisions are applied in one transaction
of the caller's, so if a start fails, the database is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect


class SchemaMismatch(Exception):
    """This code can't use the database; nothing was changed. The message is for the operator."""


def bring_up_to_date(connection: Connection, tables: Iterable[str]) -> None:
    """Create the tables of an empty database, or upgrade existing ones to the newest revision.

    Args:
        connection: in a transaction that excludes other writers.
        tables: the names of Mayfly's tables; another program's may stand beside them.

    Raises:
        SchemaMismatch: a newer Mayfly has changed the database, or tables with our names have no
            revision.
    """
    current = set(MigrationContext.configure(connection).get_current_heads())
    if current == {newest()}:
        return
    unknown = current - revisions()
    if unknown:
        raise SchemaMismatch(
            f"The database has revision {', '.join(sorted(unknown))}, and this Mayfly knows none "
            f"after {newest()}: a newer Mayfly has used it. Nothing was changed. "
            "Install that Mayfly again, or restore a backup from before its first start."
        )
    taken = sorted(set(tables) & set(inspect(connection).get_table_names()))
    if taken and not current:
        url = connection.engine.url
        raise SchemaMismatch(
            f"The database {url.set(drivername=url.get_backend_name()).render_as_string()} has "
            f"tables with names of Mayfly's ({', '.join(taken)}) and no revision of its schema: "
            "another program made them, or a Mayfly from before the first release. Nothing was "
            "changed. Name another database (gateway.database.url of the chart), or remove these "
            "tables if nobody needs what is in them."
        )
    command.upgrade(_config(connection=connection), "head")


@cache
def newest() -> str | None:
    """The revision that this code needs."""
    return _scripts().get_current_head()


@cache
def revisions() -> frozenset[str]:
    """The revisions that this code knows."""
    return frozenset(each.revision for each in _scripts().walk_revisions())


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(**attributes: object) -> Config:
    config = Config(attributes=attributes)
    config.set_main_option("script_location", "mayfly.database:migrations")
    return config
