"""Answers of a trial are numbered from 0 without a gap, so the highest revision is the one that was stored last."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STORED = "(SELECT count(*) FROM answer WHERE assignment_id = NEW.assignment_id)"
_REFUSED = "revisions of a trial are numbered from 0 without a gap"


def upgrade() -> None:
    """A trigger that refuses any other revision."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER answer_in_order BEFORE INSERT ON answer WHEN NEW.revision > {_STORED} "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )
    else:
        op.execute(
            "CREATE FUNCTION answer_in_order() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF NEW.revision > {_STORED} THEN "
            f"RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER answer_in_order BEFORE INSERT ON answer FOR EACH ROW EXECUTE FUNCTION answer_in_order()"
        )
