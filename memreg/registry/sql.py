"""The wide frame straight from MLflow's tables, in two queries: some forty times as fast as the API.

Only for schema revisions on which a test has compared it with the API; with any other, and over HTTP,
`memreg.registry.api` reads. Both queries see one snapshot of the database, and nothing is written.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import sqlalchemy as sa
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import create_sqlalchemy_engine
from mlflow.store.tracking import sqlalchemy_store
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLatestMetric, SqlParam, SqlRun, SqlTag
from mlflow.utils.search_utils import SearchUtils
from sqlalchemy.orm import Session, aliased

from memreg.registry.api import unusable
from memreg.registry.connection import PATIENCE
from memreg.registry.frames import METRICS, Value, Wide, stored_names
from memreg.registry.holding import KEY

REVISIONS = frozenset({"1b5f0d9ad7c1", "dc11669786a5"})
"""Values of `alembic_version` that are tested: MLflow 3.10's, the lowest that is supported, and 3.17's."""
DIALECTS = ("sqlite", "postgresql", "mysql")
BUFFER = 10_000  # rows that a server sends at a time

_translate: Any = getattr(sqlalchemy_store, "_get_sqlalchemy_filter_clauses", None)


class Sql:
    """The runs of a tracking database: `Api.wide`, `Api.wide_of` and `Api.held`, fast."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def wide(self, where: str, columns: Sequence[str] | None = None) -> Wide:
        with self._snapshot() as connection:
            try:
                parsed = SearchUtils.parse_search_filter(where)
                attributes, others, datasets = _translate(
                    parsed, Session(connection), self._engine.dialect.name
                )
            except MlflowException as error:
                raise unusable(where, error) from error
            chosen: sa.Select[Any] = sa.select(SqlRun.run_uuid).join(SqlExperiment)
            for clause in others:
                chosen = chosen.join(clause, clause.c.run_uuid == SqlRun.run_uuid)
            for clause in datasets:
                chosen = chosen.where(SqlRun.run_uuid.in_(sa.select(clause.c.destination_id)))
            active = (SqlRun.lifecycle_stage == "active", SqlExperiment.lifecycle_stage == "active")
            return self._read(connection, chosen.where(*active, *attributes), columns)

    def wide_of(self, run_ids: Sequence[str], columns: Sequence[str] | None = None) -> Wide:
        with self._snapshot() as connection:
            chosen: sa.Select[Any] = sa.select(SqlRun.run_uuid).where(SqlRun.run_uuid.in_(run_ids))
            return self._read(connection, chosen, columns)

    def held(self, study: str, study_run_id: str) -> list[tuple[str, str]]:
        with self._snapshot() as connection:
            columns: tuple[Any, ...] = (SqlTag.run_uuid, SqlTag.value)
            chosen = (
                sa.select(*columns)
                .join(SqlRun, SqlRun.run_uuid == SqlTag.run_uuid)
                .where(SqlTag.key == KEY + study, SqlTag.value.like(f"{study_run_id}%"))
                .where(SqlRun.lifecycle_stage == "active")
            )
            return [(run_id, value) for run_id, value in connection.execute(chosen)]

    def _read(self, connection: sa.Connection, chosen: sa.Select[Any], columns: Sequence[str] | None) -> Wide:
        cell, study, schema = (aliased(SqlTag) for _ in range(3))
        everything = sa.select(sa.func.count()).select_from(SqlRun).scalar_subquery()
        runs = connection.execute(
            chosen.add_columns(cell.value, study.value, schema.value, everything)
            .outerjoin(cell, (cell.run_uuid == SqlRun.run_uuid) & (cell.key == "memreg.cell"))
            .outerjoin(study, (study.run_uuid == SqlRun.run_uuid) & (study.key == "memreg.study"))
            .outerjoin(schema, (schema.run_uuid == SqlRun.run_uuid) & (schema.key == METRICS))
            .order_by(SqlRun.start_time, SqlRun.run_uuid)
        )
        wide, stored = Wide([], [], [], []), 0
        for run_id, cell_hash, study_name, tagged, total in runs:
            wide.run_id.append(run_id)
            wide.cell.append(cell_hash)
            wide.study.append(study_name)
            wide.schema.append(tagged)
            stored = total
        if not wide.run_id:
            return wide
        most = 2 * len(wide.run_id) >= stored  # a scan of the tables is then the fastest
        return wide.fill(self._values(connection, None if most else chosen, columns))

    def _values(
        self, connection: sa.Connection, chosen: sa.Select[Any] | None, columns: Sequence[str] | None
    ) -> Iterable[Value]:
        metric, param = SqlLatestMetric, SqlParam
        number = sa.case((metric.is_nan, None), else_=metric.value)
        parts = []
        for table, values in (
            (param, (param.value, sa.cast(sa.null(), sa.Double))),
            (metric, (sa.cast(sa.null(), sa.String(8000)), number)),
        ):
            part = sa.select(table.run_uuid, table.key, *values)
            if chosen is not None:
                part = part.where(table.run_uuid.in_(chosen))
            if columns is not None:
                part = part.where(table.key.in_(stored_names(columns)))
            parts.append(part)
        both = sa.union_all(*parts)
        if self._engine.dialect.name == "sqlite":
            # SQLite's own cursor: SQLAlchemy's rows would take as long again as the query.
            return cast(Iterable[Value], connection.execute(both).cursor)
        options = {"stream_results": True, "max_row_buffer": BUFFER}
        return cast(Iterable[Value], connection.execute(both, execution_options=options))

    @contextmanager
    def _snapshot(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection


def sql_reader(tracking_uri: str) -> Sql | None:
    """A fast reader of this tracking store; None where only the API may read it."""
    dialect = tracking_uri.partition(":")[0].partition("+")[0]
    if dialect not in DIALECTS or _translate is None or MLFLOW_ENABLE_WORKSPACES.get():
        return None
    engine = create_sqlalchemy_engine(tracking_uri)
    if dialect == "sqlite":
        sa.event.listen(engine, "connect", lambda c, _: c.execute(f"PRAGMA busy_timeout = {PATIENCE}000"))
    with engine.connect() as connection:
        revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return Sql(engine) if revision in REVISIONS else None
