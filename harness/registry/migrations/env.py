"""What Alembic runs for every migration: it works on the connection it is handed and on nothing else.

There is no configuration file and no URL here. :mod:`harness.registry.schema` opens the database, holds the
writer's lock and commits.
"""

from __future__ import annotations

from alembic import context

from harness.registry.models import Base
from harness.registry.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
