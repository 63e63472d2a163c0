"""What has been measured, line by line in a file: a run that ends early goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omniplan import system
from omniplan.documents.record import Record, plain, read
from omniplan.domain.plan import Plan
from omniplan.errors import InputError
from omniplan.tune.choice import TunedRun

_VERSION: Final = 1
# A journal has a line of a few hundred bytes per run; what is longer is no journal.
_LONGEST: Final = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject(Record):
    """What a journal is about: runs of another model, machine, request or build say nothing about it."""

    model: str
    tensor_bytes: int
    machine: str
    llama_cpp: str
    n_prompt: int
    n_gen: int
    journal_version: int = _VERSION

    @classmethod
    def of(cls, plan: Plan) -> Subject:
        """The question that ``plan`` is one answer to."""
        return cls(
            model=plan.model.name,
            tensor_bytes=plan.model.tensor_bytes,
            machine=plan.machine.name,
            llama_cpp=plan.llama_cpp,
            n_prompt=plan.request.n_prompt,
            n_gen=plan.request.n_gen,
        )


class Journal:
    """The file of one tuning; ``runs`` are those it has so far."""

    def __init__(self, path: Path, question: Subject) -> None:
        self._path = path
        self.runs: list[TunedRun] = list(_read(path, question))
        if not path.exists():
            self._append(question)

    def add(self, run: TunedRun) -> None:
        """Put a run at its end, on the disk before anything else is started."""
        self.runs.append(run)
        self._append(run)

    def _append(self, row: Subject | TunedRun) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(json.dumps(plain(row, sparse=True), ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from error


def _read(path: Path, question: Subject) -> Iterator[TunedRun]:
    """Runs of a file; a last line that an interruption cut is left out. Raises InputError for another question's."""
    if not path.exists():
        return
    try:
        data = path.read_bytes()[:_LONGEST]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    whole = data.decode(errors="replace").split("\n")[:-1]
    for number, line in enumerate(whole, 1):
        try:
            row = json.loads(line)
            if number > 1:
                yield read(TunedRun, row)
                continue
            known = read(Subject, row)
        except (ValueError, RecursionError, InputError) as error:
            raise InputError(f"{path}:{number}: not a line of a journal of omniplan tune: {error}") from error
        if known != question:
            raise InputError(f"{path}: is about {known.model} on {known.machine}; name another file")
    if not whole:
        raise InputError(f"{path}: is no journal of omniplan tune; name another file")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a journal so that no other tuning runs beside this one; raises InputError where one does."""
    try:
        with system.held(path.with_name(f"{path.name}.lock")):
            yield
    except BlockingIOError as error:
        raise InputError(
            f"{path}: another omniplan tune is at work with it; wait for it, or name another file"
        ) from error
