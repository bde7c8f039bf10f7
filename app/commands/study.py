"""`lfi study ...`: a study from its design to its data. What needs only raters' answers is in `study_analysis`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands import study_analysis
from lfi.errors import reason

if TYPE_CHECKING:
    from app.study.drawing import Tell
    from app.study.raters import Invitation
    from app.study.service import Studies

commands = typer.Typer()
study = typer.Typer(help="Run a human study: design, invitations, progress, data, report.", no_args_is_help=True)
commands.add_typer(study, name="study")
study.add_typer(study_analysis.commands)

Name = Annotated[str, typer.Argument(help="Name of the study.", metavar="NAME", show_default=False)]
Toml = Annotated[Path, typer.Argument(help="The plan.", metavar="STUDY.TOML", show_default=False)]
Code = Annotated[str, typer.Argument(help="The rater's code, such as r0123456789.", show_default=False)]
_ACTOR = "cli"


@study.command()
def create(plan: Toml) -> None:
    """Render the study of a plan and store it as a draft. A draft without invitations is replaced."""
    from app.engine import Engine
    from app.study.creation import create_study
    from app.study.demand import demand_of

    studies = _studies()
    with _told() as tell:
        made = create_study(studies, plan, Engine(studies.settings), tell=tell)
    asked = demand_of(made)
    wanted = f"{asked.ratings:,} ratings and {asked.pairs:,} pairs are wanted, of about {asked.raters:,} raters"
    print(f"{made.name}: {wanted}; a session takes about {asked.minutes} min")
    if asked.images < asked.trials:
        print(
            f"note: {asked.trials} trials a rater on {asked.images} pictures: some will come again, in other conditions"
        )
    if not made.catch:
        print("note: there are no catch trials, so nobody is excluded for not looking")
    print(f"plan {made.hash}")
    print(f"`lfi study preview {made.name}` shows it, `lfi study open {made.name}` opens it")


@study.command()
def amend(plan: Toml) -> None:
    """Add a version of an open study's plan (texts, rules, analysis). Every report shows what changed, and when."""
    from app.study.creation import amend_study

    print("amended" if amend_study(_studies(), plan) else "nothing differs")


@study.command("open")
def open_(name: Name) -> None:
    """Open a study, or open it again. The hash of its plan is fixed from then on.

    A study that is opened again after a report or an export of it makes no claim any more; before, you are asked.
    """
    from app.study.conduct import opening_costs

    studies = _studies()
    if opening_costs(studies, name):
        study_analysis.warn(
            f"study {name!r} was reported on or exported after it had closed: opened again, it makes no claim any more"
        )
    _set(name, "open", studies)


@study.command()
def pause(name: Name) -> None:
    """Pause a study. Answers to what is already on somebody's screen are still accepted."""
    _set(name, "paused")


@study.command()
def close(name: Name) -> None:
    """Close a study: it accepts no more answers."""
    _set(name, "closed")


@study.command("list")
def list_() -> None:
    """All studies, the newest first."""
    from app.study.overview import list_studies

    for line in list_studies(_studies()):
        print(f"{line.name}\t{line.status}\t{line.done:,} of {line.target:,} answers")


@study.command()
def status(
    name: Name,
    cells: Annotated[bool, typer.Option("--cells", help="Show every cell.")] = False,
    raters: Annotated[bool, typer.Option("--raters", help="Show every rater.")] = False,
) -> None:
    """Show the state of a study."""
    from app.study.progress import HISTOGRAM_SECONDS, progress_of

    found = progress_of(_studies(), name)
    share = 100 * found.done / found.target if found.target else 0
    print(f"{found.name}: {found.status}, {found.done:,} of {found.target:,} answers ({share:.0f} %)")
    changed = ", CHANGED since the study opened" if found.changed else ""
    print(f"plan {found.hash}{changed}")
    print("raters: " + ", ".join(f"{count} {state}" for state, count in found.states.items()))
    failed, of = found.failed_catches
    print(f"catch trials: {failed} of {of} failed")
    edges = [*HISTOGRAM_SECONDS[1:], None]
    for low, high, count in zip(HISTOGRAM_SECONDS, edges, found.histogram, strict=True):
        print(f"  {low:>4g} to {high:<4g} s {count:>6}" if high else f"  {low:>4g} s or more {count:>3}")
    for condition, alpha in found.agreement.items():
        print(f"agreement, {condition}: " + ("too few" if alpha is None else f"alpha {alpha:.2f}"))
    for cell in found.cells if cells else ():
        print(f"{cell.kind}\t{cell.item}\t{cell.word}\t{cell.condition}\t{cell.done}+{cell.held}/{cell.target}")
    for rater in found.raters if raters else ():
        preview = "\tpreview" if rater.preview else ""
        print(f"{rater.code}\t{rater.state}\t{rater.done}/{rater.total}\t{rater.reason}{preview}")


@study.command()
def invite(
    name: Name,
    count: Annotated[int, typer.Argument(min=1, help="How many raters.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The CSV of codes and links; its tokens are shown only once.")] = Path(
        "invitations.csv"
    ),
    address: Annotated[str | None, typer.Option(help="Where raters find the service. [LFI_ADDRESS]")] = None,
) -> None:
    """Make invitations, one link per rater."""
    from app.study.private import private
    from app.study.raters import invite as make
    from lfi.errors import ConfigError

    studies = _studies()
    try:
        with open(out, "x", newline="", encoding="utf-8", opener=private) as file:
            try:
                made = make(studies, name, count, _ACTOR)
            except BaseException:
                out.unlink()  # so that the corrected command can write it
                raise
            csv.writer(file).writerows(
                [("code", "link"), *((each.code, _link(studies, address, each)) for each in made)]
            )
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {reason(error)}") from error
    print(out)


@study.command()
def admit(
    name: Name,
    ids: Annotated[Path, typer.Argument(help="A text file, one participant's id a line.", show_default=False)],
) -> None:
    """Put people on the list of those who may enter from Prolific (`entry = "listed"` in the plan)."""
    from app.study.raters import admit as do
    from lfi.errors import ConfigError

    try:
        lines = ids.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {ids}: {reason(error)}") from error
    print(f"{do(_studies(), name, lines, _ACTOR)} people added to the list")


@study.command()
def link(
    name: Name,
    address: Annotated[str | None, typer.Option(help="Where raters find the service. [LFI_ADDRESS]")] = None,
) -> None:
    """Make the link that Prolific is given (`entry = "signed"` in the plan); the previous one stops working."""
    from app.study.raters import new_link

    studies = _studies()
    token = new_link(studies, name, _ACTOR)
    ids = "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}"
    print(f"{_found_at(studies, address)}/study?{ids}&entry={token}")


@study.command()
def preview(
    name: Name,
    address: Annotated[str | None, typer.Option(help="Where you find the service. [LFI_ADDRESS]")] = None,
) -> None:
    """Make a link that shows a study as a rater sees it; nothing entered there counts."""
    from app.study.raters import invite as make

    studies = _studies()
    print(_link(studies, address, make(studies, name, 1, _ACTOR, preview=True)[0]))


@study.command()
def exclude(
    name: Name, code: Code, reason: Annotated[str, typer.Option(help="Why; shown in the report.", show_default=False)]
) -> None:
    """Exclude a rater's answers, with a reason. They stay on record; their places are filled again."""
    from app.study.owner import exclude as do

    do(_studies(), name, code, reason, _ACTOR)


@study.command()
def delete(
    name: Name,
    code: Code,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything stored about one person. You must renew earlier exports and backups yourself."""
    from app.study.owner import delete_person

    if not yes:
        typer.confirm(f"Delete everything about {code}?", abort=True)
    print(f"{delete_person(_studies(), name, code, _ACTOR)} answers deleted")


@study.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option(help="Folder for the files; created if missing.")] = Path("export"),
    participants: Annotated[
        bool, typer.Option("--participants", help="Also raters' ids elsewhere, such as Prolific's; not for publishing.")
    ] = False,
) -> None:
    """Write the answers (CSV, JSON Lines, Parquet), their codebook, the plan and the audit trail."""
    from app.study.export import FILES, USUAL, export_study

    for path in export_study(_studies(), name, out, _ACTOR, FILES if participants else USUAL):
        print(path)


@study.command()
def backup(
    archive: Annotated[Path, typer.Argument(help="The tar file to write.", show_default=False)],
) -> None:
    """Back up all studies, with answers and images, while the service runs."""
    from app.study.backup import backup as do

    do(_studies(), archive)
    print(archive)


@study.command()
def restore(
    archive: Annotated[Path, typer.Argument(help="A tar file that `lfi study backup` wrote.", show_default=False)],
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Only check that it could be restored.")] = False,
) -> None:
    """Restore a backup where there are no studies yet. The service must be stopped."""
    from app.study.backup import restore as do

    do(_studies(), archive, rehearse)
    print(f"{archive} is complete" if rehearse else f"restored {archive}")


@study.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a whole study: answers, plan, images."""
    from app.study.creation import remove_study

    if not yes:
        typer.confirm(f"Delete the whole study {name}, including its answers?", abort=True)
    remove_study(_studies(), name)


@contextmanager
def _told() -> Iterator[Tell]:
    """A bar on standard error, one a step; a line now and then where that is no terminal."""
    from tqdm import tqdm

    bar: tqdm | None = None

    def finish() -> None:
        if bar is not None:
            bar.update(bar.total - bar.n)
            bar.close()

    def tell(step: str, done: int, of: int) -> None:
        nonlocal bar
        if bar is None or bar.desc != step:
            finish()
            bar = tqdm(total=of, desc=step, mininterval=0.2 if sys.stderr.isatty() else 10)
        bar.update(done - bar.n)

    yield tell
    finish()


def _studies() -> Studies:
    from app.settings import read_settings
    from app.study.service import Studies

    return Studies(read_settings())


def _set(name: str, status: str, studies: Studies | None = None) -> None:
    from app.study.owner import set_status

    set_status(studies or _studies(), name, status, _ACTOR)
    print(f"{name} is {status}")


def _link(studies: Studies, address: str | None, invitation: Invitation) -> str:
    """Where an invitation leads: as told, as configured, or to a service on this machine as it is by default."""
    return f"{_found_at(studies, address)}/s/{invitation.token}"


def _found_at(studies: Studies, address: str | None) -> str:
    return (address or studies.settings.address or f"http://127.0.0.1:{studies.settings.port}").rstrip("/")
