"""Alembic's environment: runs the revisions on the caller's connection and transaction."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # The caller's transaction holds for all of it, in SQLite too.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
