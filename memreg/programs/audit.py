"""`memreg audit`: from a folder of images to the labels that are probably wrong."""

from pathlib import Path

import click

from memreg import options
from memreg.requests.audit import Request
from memreg.requests.training import Training
from memreg.resources import Resources

UNUSED = ("engine", "data_dir", "trace", "checkpoints", "observers", "loader", "gpus")


@click.command(name="audit", context_settings=options.SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path))
@options.asking(Request, Training, Resources, without=UNUSED)
def audit(request: Request, training: Training, resources: Resources, folder: Path) -> None:
    """Look for wrong labels in FOLDER, which has a sub-folder of images for each class.

    Or it has train/ and test/ (or val/), with such sub-folders each. Networks are trained by a recipe that
    suits the number of images and their size; those that did not see an image say what it shows.
    """
    path = request.check(folder)
    from memreg.programs.shown import where
    from memreg.questions.audit import run
    from memreg.show import terminal

    with terminal.Reporter() as progress:
        outcome = run(path, request, where(training, resources), progress)
    command = outcome.answer.command(outcome.study)
    terminal.say(outcome.said)
    terminal.show_links({"look at them": command, "report": outcome.see["report"]})
