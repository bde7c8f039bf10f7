"""The first schema: studies, plans, stimuli, cells, raters, assignments, answers, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Tables, the view of current answers, and the trigger that keeps answers as they were given."""
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_hash", sa.Text(), nullable=True),
        sa.CheckConstraint("status IN ('draft', 'open', 'paused', 'closed')", name=op.f("ck_study_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study")),
        sa.UniqueConstraint("name", name=op.f("uq_study_name")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_audit_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_study_id"), "audit", ["study_id"], unique=False)
    op.create_table(
        "cell",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("target", sa.Integer(), nullable=True),
        sa.CheckConstraint("(target IS NULL) = (kind IN ('practice', 'catch'))", name=op.f("ck_cell_target")),
        sa.CheckConstraint("kind IN ('rating', 'pair', 'practice', 'catch')", name=op.f("ck_cell_kind")),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_cell_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cell")),
        sa.UniqueConstraint(
            "study_id", "kind", "item", "first", "second", name=op.f("uq_cell_study_id_kind_item_first_second")
        ),
    )
    op.create_table(
        "plan",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_plan_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("study_id", "version", name=op.f("uq_plan_study_id_version")),
    )
    op.create_table(
        "rater",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("prolific_pid", sa.Text(), nullable=True),
        sa.Column("prolific_session", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("preview", sa.Boolean(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("consented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("excluded_reason", sa.Text(), nullable=False),
        sa.CheckConstraint("(status = 'excluded') = (excluded_reason <> '')", name=op.f("ck_rater_reason")),
        sa.CheckConstraint(
            "status IN ('invited', 'consented', 'active', 'finished', 'excluded')", name=op.f("ck_rater_status")
        ),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_rater_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rater")),
        sa.UniqueConstraint("code", name=op.f("uq_rater_code")),
        sa.UniqueConstraint("study_id", "prolific_pid", name=op.f("uq_rater_study_id_prolific_pid")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_rater_token_hash")),
    )
    op.create_index(op.f("ix_rater_study_id_lease_until"), "rater", ["study_id", "lease_until"], unique=False)
    op.create_table(
        "stimulus",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name=op.f("fk_stimulus_study_id_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stimulus")),
        sa.UniqueConstraint("file", name=op.f("uq_stimulus_file")),
        sa.UniqueConstraint(
            "study_id", "image", "item", "condition", name=op.f("uq_stimulus_study_id_image_item_condition")
        ),
    )
    op.create_table(
        "assignment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("cell_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("flipped", sa.Boolean(), nullable=False),
        sa.Column("public", sa.Text(), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.CheckConstraint("slot >= 0", name=op.f("ck_assignment_slot")),
        sa.ForeignKeyConstraint(["cell_id"], ["cell.id"], name=op.f("fk_assignment_cell_id_cell")),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name=op.f("fk_assignment_rater_id_rater")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignment")),
        sa.UniqueConstraint("cell_id", "slot", name=op.f("uq_assignment_cell_id_slot")),
        sa.UniqueConstraint("public", name=op.f("uq_assignment_public")),
        sa.UniqueConstraint("rater_id", "cell_id", name=op.f("uq_assignment_rater_id_cell_id")),
        sa.UniqueConstraint("rater_id", "position", name=op.f("uq_assignment_rater_id_position")),
    )
    op.create_table(
        "login",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name=op.f("fk_login_rater_id_rater")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_login_secret_hash")),
    )
    op.create_index(op.f("ix_login_rater_id"), "login", ["rater_id"], unique=False)
    op.create_table(
        "answer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("assignment_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("response_ms", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("response_ms >= 0", name=op.f("ck_answer_response_ms")),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_answer_revision")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignment.id"], name=op.f("fk_answer_assignment_id_assignment")),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name=op.f("fk_answer_rater_id_rater")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
        sa.UniqueConstraint("assignment_id", "revision", name=op.f("uq_answer_assignment_id_revision")),
        sa.UniqueConstraint("rater_id", "key", name=op.f("uq_answer_rater_id_key")),
    )
    op.create_table(
        "exposure",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("assignment_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignment.id"], name=op.f("fk_exposure_assignment_id_assignment"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["rater_id"], ["rater.id"], name=op.f("fk_exposure_rater_id_rater")),
        sa.PrimaryKeyConstraint("rater_id", "image", "condition", name=op.f("pk_exposure")),
    )
    op.create_index(op.f("ix_exposure_assignment_id"), "exposure", ["assignment_id"], unique=False)
    op.execute(
        "CREATE VIEW current_answer AS SELECT answer.* FROM answer WHERE revision = "
        "(SELECT max(later.revision) FROM answer AS later WHERE later.assignment_id = answer.assignment_id)"
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER answer_append_only BEFORE UPDATE ON answer "
            "BEGIN SELECT RAISE(ABORT, 'answers are never changed'); END"
        )
    else:
        op.execute(
            "CREATE FUNCTION answer_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'answers are never changed'; END $$"
        )
        op.execute(
            "CREATE TRIGGER answer_append_only BEFORE UPDATE ON answer "
            "FOR EACH ROW EXECUTE FUNCTION answer_append_only()"
        )
