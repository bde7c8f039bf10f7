"""The commands of `lfi`, one module each.

A module exposes `commands`, a `typer.Typer` whose commands join the top level (`app.cli` lists the modules).
It imports at its top only what parsing arguments needs; torch, FastAPI and the like are imported inside the
commands, so that `lfi --help` is quick. A command reports what a user can mend by raising an `LFIError`.
"""
