"""What alembic runs: the migrations, on the connection that `app.database.schema` hands over."""

from alembic import context

from app.database.models import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
