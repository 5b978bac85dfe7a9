"""What may be asked of `memreg audit`, beside the folder."""

import re
from pathlib import Path

from pydantic import Field

from memreg.data import loading
from memreg.data.source import expanded
from memreg.errors import MemregError
from memreg.grid import check_dataset, check_name
from memreg.parameters import Parameters


class Request(Parameters):
    """What is asked of `memreg audit`."""

    members: int = Field(40, ge=4)
    """Networks to train; each leaves out three images in ten, so that 40 judge each image 12 times."""
    size: int | None = Field(None, ge=8, le=256)
    """Side in pixels to which images are brought; by default at most 32, which is fast."""
    augmentation: float = Field(1.0, ge=0, le=4)
    """Strength; 0 for images that a mirror would put in another class, as arrows to the left."""
    study: str | None = None
    """Name of the study; by default audit-FOLDER."""

    def name(self, folder: Path) -> str:
        """The study's name."""
        return self.study or f"audit-{re.sub(r'[^A-Za-z0-9._-]+', '-', folder.name)[:150] or 'folder'}"

    def check(self, folder: Path) -> Path:
        """The folder's whole path. Raises `MemregError` where it is none of images by class."""
        path = expanded(folder).resolve()
        if not path.is_dir():
            raise MemregError(f"there is no folder {folder}")
        check_name(self.name(path), "study")
        check_dataset(f"folder:{path}+size=1024", "audit")
        loading.check(f"folder:{path}")
        return path
