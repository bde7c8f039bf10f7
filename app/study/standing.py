"""How a rater stands, in one word: the same on the owner's page, on the command line and in `raters.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database.models import Audit, Rater, Study
from evaluation.study.ratings import BY_OWNER, BY_RULE

STANDINGS = (
    "invited",
    "consented",
    "taking part",
    "dropped out",
    "finished",
    "declined",
    "screened out",
    "excluded",
)
NO_CONSENT = "did not consent"
SCREENED_OUT = "did not understand the instructions"


def standing_of(study: Study, rater: Rater, by: Mapping[str, str], now: datetime) -> str:
    """One of `STANDINGS`.

    Args:
        by: as `excluders` says.
    """
    if rater.status == "active":
        here = study.status != "closed" and rater.lease_until is not None and rater.lease_until >= now
        return "taking part" if here else "dropped out"
    return ending_of(rater, by) if rater.status == "excluded" else rater.status


def ending_of(rater: Rater, by: Mapping[str, str]) -> str:
    """Of a rater who is out: `declined`, `screened out`, or `excluded` by somebody, who may give any reason."""
    if rater.code in by:
        return "excluded"
    return {NO_CONSENT: "declined", SCREENED_OUT: "screened out"}.get(rater.excluded_reason, "excluded")


def excluders(session: Session, study: Study, code: str = "") -> dict[str, str]:
    """Who excluded a rater, `rule` or `owner`, by the rater's code: as the audit trail has it, whatever the reason.

    Args:
        code: of the only rater that is asked about; everybody where it is empty.
    """
    lines = session.scalars(
        select(Audit)
        .where(Audit.study_id == study.id, Audit.action == "excluded", Audit.detail.startswith(code))
        .order_by(Audit.id)
    )
    return {line.detail.partition(":")[0]: BY_RULE if line.actor == BY_RULE else BY_OWNER for line in lines}
