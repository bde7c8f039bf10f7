"""The report for the owner's page: what `lfi study analyse NAME` makes, in its own process."""

from __future__ import annotations

import anyio
import pandas as pd

from app.failures import StudyError
from app.study.export import analysis_input
from app.study.service import Studies, find_study
from evaluation.study.plan import AnalysisPlan, Registration

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"


async def closed_report(studies: Studies, name: str) -> str:
    """The report of a closed study as one HTML page. Some seconds, in which the service goes on.

    Raises:
        NothingHereError: there is no such study.
        StudyError: it is not closed, or nobody has answered.
        DataError: the answers do not allow the primary analysis.
    """
    table, registration, plan = await anyio.to_thread.run_sync(_closed_input, studies, name)
    return await anyio.to_process.run_sync(_page, table, registration, plan)


def _closed_input(studies: Studies, name: str) -> tuple[pd.DataFrame, Registration | None, AnalysisPlan]:
    with studies.database.reading() as session:
        status = find_study(session, name).status
    if status != "closed":
        raise StudyError(
            f"study {name!r} is {status}; its report is made once it is closed: an interval that was looked at "
            "while answers came in, and that decided when to stop, promises more than it holds"
        )
    return analysis_input(studies, name)


def _page(table: pd.DataFrame, registration: Registration | None, plan: AnalysisPlan) -> str:
    from evaluation.study.analysis import analyse
    from evaluation.study.figures import figures
    from evaluation.study.report import report_html

    found = analyse(table, plan, registration)
    return report_html(found, figures(found))
