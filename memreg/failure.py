"""What the run that `mlflow run` opened says of a command that failed."""

import os
from contextlib import suppress

NAMED = 120  # characters of the error in the run's name


def tell_run(error: str) -> None:
    """Put an error into the description of the run that `mlflow run` opened for this process, if it did.

    A run that is not a study's or an analysis' yet is also named by it. MLflow itself ends the run as FAILED.
    Nothing is raised: the error has been said already, and a store that cannot be reached may be the error.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return
    with suppress(Exception):
        from mlflow import MlflowClient

        client = MlflowClient()
        tags = client.get_run(run_id).data.tags
        note = tags.get("mlflow.note.content", "")
        client.set_tag(run_id, "mlflow.note.content", f"**Failed:** {error}\n\n{note}".strip())
        if "memreg.kind" not in tags:
            client.set_tag(run_id, "mlflow.runName", f"failed: {error}"[:NAMED])
