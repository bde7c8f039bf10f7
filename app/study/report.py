"""The report for the owner's page: what `lfi study analyse NAME` makes, in its own process."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import pandas as pd

from app.failures import StudyError
from app.study.attrition import attrition_of
from app.study.conduct import look, look_is_due
from app.study.export import analysis_input
from app.study.gallery import gallery_of
from app.study.service import Studies, find_study
from evaluation.study.conduct import Conduct
from evaluation.study.flow import Attrition
from evaluation.study.plan import AnalysisPlan, Registration

if TYPE_CHECKING:  # scipy comes with the first report, not with the service
    from evaluation.study.analysis import Analysis

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, eq=False)
class Material:
    """What a report is made of: answers, plans, how the study was run, who took part, and what raters saw.

    Attributes:
        pictures: as `gallery_of` gives them.
    """

    table: pd.DataFrame
    registration: Registration | None
    plan: AnalysisPlan
    conduct: Conduct
    attrition: Attrition
    pictures: dict[tuple[str, str], str]

    def analysed(self, truth: float = math.nan, quiet: bool = True) -> Analysis:
        """The analysis of it; the arguments are those of `evaluation.study.analysis.analyse`."""
        from evaluation.study.analysis import analyse

        parts = (self.table, self.plan, self.registration)
        return analyse(*parts, conduct=self.conduct, attrition=self.attrition, truth=truth, quiet=quiet)


def report_material(studies: Studies, name: str, actor: str) -> Material:
    """Everything for the report of a study, which is noted as a look at it.

    Raises:
        NothingHereError: there is no such study.
        StudyError: nobody has answered.
    """
    conduct = look(studies, name, actor)  # first: whatever is changed meanwhile then counts as changed after it
    table, registration, plan = analysis_input(studies, name)
    return Material(table, registration, plan, conduct, attrition_of(studies, name), gallery_of(studies, name))


async def owners_report(studies: Studies, name: str, actor: str) -> str:
    """The report of a study that is closed, or at a look that its plan names, as one HTML page. Some seconds.

    Raises:
        NothingHereError: there is no such study.
        StudyError: it goes on, and no look is due; or nobody has answered.
        DataError: no answers are left to analyse.
    """
    material = await studies.readers.run(_allowed, studies, name, actor)
    return await anyio.to_process.run_sync(_page, material)


def _allowed(studies: Studies, name: str, actor: str) -> Material:
    with studies.database.reading() as session:
        study = find_study(session, name)
        status = study.status
        allowed = status == "closed" or look_is_due(session, studies, study)
    if not allowed:
        raise StudyError(
            f"study {name!r} is {status}; its report is made once it is closed, or at a look that its plan names: an "
            "interval that was looked at while answers came in, and used to decide when to stop, covers the truth less "
            "often than it says"
        )
    return report_material(studies, name, actor)


def _page(material: Material) -> str:
    from evaluation.study.figures import figures
    from evaluation.study.report import report_html

    found = material.analysed()
    return report_html(found, figures(found), material.pictures)
