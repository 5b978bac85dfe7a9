"""Runs through MLflow's own interface: what every tracking store answers, at about a millisecond a run."""

from collections.abc import Iterator, Sequence

from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.entities.run import Run
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList

from memreg.errors import MemregError
from memreg.registry.connection import one_line
from memreg.registry.frames import METRICS, Value, Wide, stored_names
from memreg.registry.holding import KEY, held_filter
from memreg.registry.leases import DRIVER

PAGE = 1000
IDS = 100  # run ids in one filter
OLDEST, NEWEST = "attributes.start_time ASC", "attributes.start_time DESC"


class Api:
    """The runs of a tracking store, across its experiments."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def find(self, where: str, order: str = OLDEST, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        """Runs that fit an MLflow filter, whole."""
        found: list[Run] = []
        token = None
        while True:
            page = self.page(where, order, PAGE, token, view)
            found += page
            token = page.token
            if not token:
                return found

    def wide(self, where: str, columns: Sequence[str] | None = None) -> Wide:
        """Runs that fit an MLflow filter, oldest first, with these params and metrics (default: all)."""
        return _wide(self.find(where), columns)

    def wide_of(self, run_ids: Sequence[str], columns: Sequence[str] | None = None) -> Wide:
        """Runs by their ids, deleted ones too, in no particular order."""
        return _wide(self.runs(run_ids), columns)

    def runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Runs by their ids, deleted ones too, whole and in no particular order."""
        found: list[Run] = []
        for i in range(0, len(run_ids), IDS):
            listed = ", ".join(f"'{run_id}'" for run_id in run_ids[i : i + IDS])
            found += self.find(f"attributes.run_id IN ({listed})", view=ViewType.ALL)
        return found

    def study(self, name: str, experiment_id: str | None = None) -> Run | None:
        """The run of a study, in one experiment or in all."""
        found = self.find(f"tags.`memreg.kind` = 'study' and tags.`memreg.study` = '{name}'", NEWEST)
        return chosen([run for run in found if experiment_id in (None, run.info.experiment_id)])

    def held(self, study: str, study_run_id: str) -> list[tuple[str, str]]:
        """(run id, value of the tag that says so) of a study's cells, in no particular order."""
        found = self.find(held_filter(study, study_run_id))
        return [(run.info.run_id, run.data.tags[KEY + study]) for run in found]

    def page(
        self, where: str, order: str, size: int, token: str | None = None, view: int = ViewType.ACTIVE_ONLY
    ) -> PagedList[Run]:
        """The first runs, or those after `token`."""
        try:
            return self._client.search_runs(self._experiments(view), where, view, size, [order], token)
        except MlflowException as error:
            raise unusable(where, error) from error

    def _experiments(self, view: int) -> list[str]:
        found: list[str] = []
        token = None
        while True:
            page = self._client.search_experiments(view, page_token=token)
            found += [e.experiment_id for e in page]
            token = page.token
            if not token:
                return found


def chosen(runs: Sequence[Run]) -> Run | None:
    """A study's run, of those of its name, newest first: one of this version, one that finished, any.

    Earlier versions of memreg opened a run for each command; since, one run is opened again.
    """
    return min(
        runs, key=lambda run: (DRIVER not in run.data.tags, run.info.status != "FINISHED"), default=None
    )


def newest(client: MlflowClient, run_id: str, key: str) -> dict[int, float]:
    """The newest value of a run's series at each step."""
    history = sorted(client.get_metric_history(run_id, key), key=lambda m: m.timestamp)
    return {m.step: m.value for m in history}


def unusable(where: str, error: Exception) -> MemregError:
    """What to say of a filter that MLflow refuses."""
    return MemregError(f"cannot search for runs where {where}: {one_line(error)}")


def _wide(runs: Sequence[Run], columns: Sequence[str] | None) -> Wide:
    wide = Wide(
        [run.info.run_id for run in runs],
        [run.data.tags.get("memreg.cell") for run in runs],
        [run.data.tags.get("memreg.study") for run in runs],
        [run.data.tags.get(METRICS) for run in runs],
    )
    return wide.fill(
        value
        for run in runs
        for value in _values(run)
        if columns is None or value[1] in stored_names(columns)
    )


def _values(run: Run) -> Iterator[Value]:
    for key, text in run.data.params.items():
        yield run.info.run_id, key, text, None
    for key, number in run.data.metrics.items():
        yield run.info.run_id, key, None, number
