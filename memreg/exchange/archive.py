"""A study as one archive: a ZIP of the artifacts from which its cells can be had again.

`manifest.json` names the study, its cells in the order of its grid, and size and SHA-256 of every other file.
Nothing is unpacked under a name that is not one of `FILES`.
"""

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from memreg.cell import Cell
from memreg.errors import MemregError
from memreg.exchange.incoming import Incoming
from memreg.files import write_atomically
from memreg.registry import Registry
from memreg.registry.shards import read_shard
from memreg.registry.traces import FOLDER, read_trace, trace_name
from memreg.studies.record import SERIES

VERSION = 1
MANIFEST = "manifest.json"
FILES = re.compile(
    r"[0-9a-f]{64}/(cell\.json|examples\.parquet|series\.json|scores-[A-Za-z0-9_]+\.parquet|members\.parquet|(predictions|traces)/[0-9]{6,10}\.arrow)"
)
KEPT_SERIES = (*SERIES, "epoch/train_loss", "epoch/test_accuracy")
BLOCK = 1 << 20
MOST = 1 << 26
"""Bytes of a manifest, of which a file takes some 200."""
Step = Annotated[int, Field(ge=0, lt=2**31)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class _File(_Strict):
    size: int
    sha256: str


class _About(_Strict):
    """series.json"""

    parameters: int | None
    series: dict[str, dict[Step, float]]


class _Manifest(_Strict):
    version: int
    study: str
    grid: str
    cells: list[str]
    files: dict[str, _File]


@dataclass(frozen=True)
class Archive:
    study: str
    grid: str
    cells: list[Incoming]


def export_study(registry: Registry, study: str, path: Path) -> None:
    """Write a study's cells to `path`. Raises `MemregError` while one of them is in training."""
    run = registry.study_run(study)
    held = registry.held(run.info.run_id)
    table = registry.rows(held)
    parameters = table.reindex(columns=["parameters"])["parameters"]
    complete = set(registry.cells(columns=[])["cell"])
    if training := set(table["cell"]) - complete:
        raise MemregError(f"cell {training.pop()[:12]} of study {study} is in training: export it afterwards")

    def write(to: Path) -> None:
        files: dict[str, _File] = {}
        with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as target:
            for cell, count in zip(registry.cells_by_run(table["run_id"]), parameters, strict=True):
                about = _About(
                    parameters=None if pd.isna(count) else int(count),
                    series={key: cell.series(key) for key in KEPT_SERIES},
                )
                own = [("series.json", about.model_dump_json().encode())]
                for name, content in chain[tuple[str, bytes | Path]](own, cell.files()):
                    if FILES.fullmatch(f"{cell.hash}/{name}"):
                        files[f"{cell.hash}/{name}"] = _add(target, f"{cell.hash}/{name}", content)
            manifest = _Manifest(
                version=VERSION,
                study=run.data.tags["memreg.study"],
                grid=run.data.tags.get("memreg.grid", "imported"),
                cells=table["cell"].tolist(),
                files=files,
            )
            target.writestr(MANIFEST, manifest.model_dump_json(indent=1))

    write_atomically(path, write)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """An archive's study, once every file of it has been checked. Raises `MemregError` for any damage."""
    with tempfile.TemporaryDirectory(prefix="memreg-") as directory:
        try:
            with zipfile.ZipFile(path) as source:
                manifest = _unpack(source, Path(directory))
            cells = [_incoming(Path(directory) / name, name) for name in manifest.cells]
        except MemregError as error:
            raise MemregError(f"{path}: {error}") from error
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError) as error:
            raise MemregError(f"{path}: no archive, or a damaged one: {error}") from error
        except Exception as error:  # the parsers of Arrow, Parquet and JSON raise of every kind
            raise MemregError(f"{path}: not what `memreg export` writes: {_first_line(error)}") from error
        yield Archive(manifest.study, manifest.grid, cells)


def _add(target: zipfile.ZipFile, name: str, content: bytes | Path) -> _File:
    if isinstance(content, bytes):
        target.writestr(name, content)
        return _File(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    with content.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        source.seek(0)
        with target.open(name, "w", force_zip64=True) as sink:
            shutil.copyfileobj(source, sink, BLOCK)
        return _File(size=source.tell(), sha256=digest)


def _unpack(source: zipfile.ZipFile, directory: Path) -> _Manifest:
    listed = source.getinfo(MANIFEST)
    if listed.compress_type != zipfile.ZIP_STORED or listed.file_size > MOST:
        raise MemregError(f"its {MANIFEST} is compressed, or longer than {MOST >> 20} MB")
    try:
        manifest = _Manifest.model_validate_json(source.read(MANIFEST))
    except ValidationError as error:
        raise MemregError(f"its {MANIFEST} is not what `memreg export` writes") from error
    if manifest.version != VERSION:
        raise MemregError(f"an archive of version {manifest.version}: this memreg reads {VERSION}")
    names = source.namelist()
    if sorted(names) != sorted([MANIFEST, *manifest.files]):
        raise MemregError("its files are not those that its manifest names")
    for name, expected in manifest.files.items():
        if not FILES.fullmatch(name):
            raise MemregError(f"{name!r} is no file of an archive")
        info = source.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != expected.size:
            raise MemregError(f"{name} is not as long as its manifest says")
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(info) as packed, target.open("w+b") as file:
            shutil.copyfileobj(packed, file, BLOCK)
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != expected.sha256:
                raise MemregError(f"{name} fails its checksum")
    return manifest


def _incoming(directory: Path, name: str) -> Incoming:
    cell = Cell.model_validate_json((directory / "cell.json").read_bytes())
    if cell.hash != name:
        raise MemregError(f"{name}/cell.json describes another cell")
    about = _About.model_validate_json((directory / "series.json").read_bytes())
    examples = pd.read_parquet(directory / "examples.parquet")
    sizes = [int((examples["split"] == split).sum()) for split in ("train", "test")]
    numbers = np.concatenate([np.arange(size) for size in sizes])
    if not np.array_equal(examples["example"], numbers) or examples["label"].dtype.kind not in "iu":
        raise MemregError(f"{name}/examples.parquet does not list examples, training first")
    read = partial(read_shard, cell=cell.hash, dataset_fingerprint=cell.dataset_fingerprint)
    shards = sorted((directory / "predictions").glob("*.arrow"))
    members: list[int] = []
    for shard in shards:
        read_ = read(shard)
        if read_.n_train != sizes[0] or read_.predicted.shape[1] != sum(sizes):
            raise MemregError(f"{name}/{shard.name} does not fit its examples.parquet")
        members += read_.member.tolist()
    if not members or len({*members}) < len(members):
        raise MemregError(f"{name} has no members, or one twice")
    for trace in directory.glob(f"{FOLDER}/*.arrow"):
        found, _ = read_trace(trace, cell.hash, cell.dataset_fingerprint)
        member = int(found.member[0])
        named = trace_name(member) == f"{FOLDER}/{trace.name}"
        if not named or member not in members or found.included.shape[1] != sizes[0]:
            raise MemregError(f"{name}/{FOLDER}/{trace.name} is of another member or of other examples")
    kept = [*directory.glob("scores-*.parquet"), *directory.glob("members.parquet")]
    for path in kept:
        pd.read_parquet(path)
    kept += directory.glob(f"{FOLDER}/*.arrow")
    tables = {str(path.relative_to(directory)): path for path in kept}
    series = {key: value for key, value in about.series.items() if key in KEPT_SERIES}
    return Incoming(
        cell, members, examples, lambda: map(read, shards), about.parameters, series, tables=tables
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
