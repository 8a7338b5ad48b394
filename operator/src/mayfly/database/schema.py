"""The revision of a database, and its upgrade to the one that this code needs.

A revision is a file in `migrations/versions`. All missing revisions are applied in one transaction
of the caller's, so if a start fails, the database is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, inspect, text

NEWEST = "0004"
"""The revision that this code needs: the newest file of `migrations/versions`."""


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
    current = _current(connection)
    if current == {NEWEST}:
        return
    unknown = current - revisions()
    if unknown:
        raise SchemaMismatch(
            f"The database has revision {', '.join(sorted(unknown))}, and this Mayfly knows none "
            f"after {NEWEST}: a newer Mayfly has used it. Nothing was changed. "
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
    # Alembic takes its time to import, and most starts have nothing to upgrade.
    from mayfly.database import upgrade  # noqa: PLC0415

    upgrade.to_newest(connection)


def revisions() -> frozenset[str]:
    """The revisions that this code knows."""
    from mayfly.database import upgrade  # noqa: PLC0415

    return upgrade.revisions()


def _current(connection: Connection) -> set[str]:
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))
