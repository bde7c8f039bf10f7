"""How raters enter from elsewhere and with which parameters, failed checks, and times by the service's own clock."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """New columns; what was stored before them stays empty, as nobody measured it."""
    op.add_column("study", sa.Column("entry_hash", sa.Text(), nullable=True))
    op.add_column("rater", sa.Column("parameters", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("rater", sa.Column("check_failures", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("answer", sa.Column("server_ms", sa.Integer(), nullable=True))
    # Of a view, `*` is expanded when the view is made.
    op.execute("DROP VIEW current_answer")
    op.execute(
        "CREATE VIEW current_answer AS SELECT answer.* FROM answer WHERE revision = "
        "(SELECT max(later.revision) FROM answer AS later WHERE later.assignment_id = answer.assignment_id)"
    )
