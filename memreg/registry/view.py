"""Addresses in MLflow's UI, and a saved view of it: a study's cells, flat and sorted, with a scatter plot.

The UI keeps such views in experiment tags `mlflow.sharedViewState.<key>` and opens one by
`viewStateShareKey=<key>`. That is not documented: a test opens it in a real browser, and a UI that does not
know it says so and shows the plain list.
"""

import json

from memreg.estimators.statistics import HEADLINE, bound_keys, fraction_key
from memreg.registry.connection import masked
from memreg.registry.holding import held_filter

COLUMNS = (
    "params.`dataset`",
    "params.`model`",
    "params.`parameters`",
    "params.`weight_decay`",
    "params.`augmentation`",
    "metrics.`members`",
    "metrics.`test_accuracy`",
    "metrics.`mean_score`",
    *(f"metrics.`{key}`" for key in (fraction_key(HEADLINE), *bound_keys(HEADLINE))),
)
SECTION = "memreg"


def ui_address(tracking_uri: str) -> str:
    """Give the address of a tracking store's UI: its server's, or else the one that `mlflow ui` takes."""
    served = tracking_uri.startswith("http")
    return masked(tracking_uri).rstrip("/") if served else "http://127.0.0.1:5000"


def run_link(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """The page of a run in the UI."""
    return f"{ui_address(tracking_uri)}/#/experiments/{experiment_id}/runs/{run_id}"


def study_links(tracking_uri: str, experiment_id: str, study: str) -> dict[str, str]:
    """Where the UI shows a study's cells, flat and sorted by test accuracy, as a table and as charts.

    Where there is no server, also what starts the UI.
    """
    table = f"{ui_address(tracking_uri)}/#/experiments/{experiment_id}/runs?viewStateShareKey={study}"
    links = {"cells": table, "charts": f"{table}&compareRunsMode=CHART"}
    return links if tracking_uri.startswith("http") else links | {"UI": ui_command(tracking_uri)}


def ui_command(tracking_uri: str) -> str:
    """What starts MLflow's UI on a store that has no server."""
    return f"mlflow ui --backend-store-uri {masked(tracking_uri)}"


def view_tag(study: str, study_run_id: str) -> tuple[str, str]:
    """Key and value of the experiment tag."""
    state = {
        "searchFilter": f"tags.`memreg.kind` = 'cell' and {held_filter(study, study_run_id)}",
        "orderByKey": "metrics.`test_accuracy`",
        "orderByAsc": False,
        "selectedColumns": COLUMNS,
        "runsHiddenMode": "SHOWALL",
        "compareRunCharts": [
            _scatter("fraction", fraction_key(HEADLINE)),
            _scatter("score", "mean_score"),
            _scatter("included", "included_accuracy"),
        ],
        "isAccordionReordered": True,
        "compareRunSections": [
            {"uuid": SECTION, "name": "Over test accuracy", "display": True, "isReordered": True}
        ],
    }
    return f"mlflow.sharedViewState.{study}", json.dumps(state)


def _scatter(name: str, metric: str) -> dict[str, object]:
    return {
        "type": "SCATTER",
        "uuid": f"memreg-{name}",
        "metricSectionId": SECTION,
        "isGenerated": False,
        "deleted": False,
        "runsCountToCompare": 100,
        "xaxis": {"key": "test_accuracy", "type": "METRIC"},
        "yaxis": {"key": metric, "type": "METRIC"},
    }
