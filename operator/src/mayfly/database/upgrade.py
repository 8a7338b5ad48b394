"""Alembic: the revisions in `migrations/versions`, and their application to a database."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def to_newest(connection: Connection) -> None:
    """Apply all missing revisions, in the connection's transaction."""
    command.upgrade(_config(connection=connection), "head")


@cache
def revisions() -> frozenset[str]:
    """The revisions that this code knows."""
    scripts = ScriptDirectory.from_config(_config())
    return frozenset(each.revision for each in scripts.walk_revisions())


def _config(**attributes: object) -> Config:
    config = Config(attributes=attributes)
    config.set_main_option("script_location", "mayfly.database:migrations")
    return config
