"""A cell: data set x recipe x design. What it is decides its identity; how many members it has does not."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from memreg.design import Design, Imported
from memreg.recipe import Recipe

LONGEST_PARAM = 500
DESIGN_PARAMS = {"seed": "design_seed", "version": "design_version"}


class Cell(BaseModel):
    """One point of a study, frozen and hashable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """Canonical name, options and all, as `digits+noise=0.2`."""
    dataset_fingerprint: str
    """Of the arrays that the name stands for."""
    recipe: Recipe
    design: Design
    code: tuple[tuple[str, str], ...] = ()
    """Code of the user's that the recipe and the design name: each with the SHA-256 of its source."""

    @field_validator("design", mode="before")
    @classmethod
    def _is_of_version_1_where_none_is_stored(cls, design: Any) -> Any:
        """Stored subsets without a version are from before there was a second one."""
        if isinstance(design, dict) and design.get("kind") == "subsets":
            return {"version": 1, **design}
        return design

    def canonical_json(self) -> str:
        """Sorted keys, no spaces: equal cells, and only those, have equal text.

        Of an imported cell only what is known of it, so that no default passes for knowledge.
        """
        imported = isinstance(self.design, Imported)
        content = self.model_dump(mode="json", exclude_unset=imported)
        if not imported:
            content["recipe"] = self.recipe.known()
        if not self.code:
            content.pop("code", None)
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_params(cls, params: Mapping[str, str], dataset_fingerprint: str, hash_: str) -> "Cell | None":
        """The cell of this hash from the params that MLflow has of it, which are text.

        None where they do not tell: long lists are cut there. A cell that is returned has the hash, so it is
        the cell that was stored.
        """
        names = {param: key for key, param in DESIGN_PARAMS.items()}
        recipe = {key: value for key, value in params.items() if key in Recipe.model_fields}
        design = {
            names.get(key, key): int(value) if value.isdecimal() else value
            for key, value in params.items()
            if key not in (*Recipe.model_fields, "dataset", "design", "parameters", "code")
        }
        fields = {"dataset": params.get("dataset"), "dataset_fingerprint": dataset_fingerprint}
        design["kind"] = params.get("design", "")
        try:
            cell = cls.model_validate({**fields, "recipe": recipe, "design": design})
        except ValidationError:
            return None
        return cell if cell.hash == hash_ else None

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal: the tag `memreg.cell`."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @property
    def title(self) -> str:
        """Name the cell for people, as `vgg3-w8 digits, bare, 784d7074`.

        Its model and data set, which regularisation it lacks, its design where that is not subsets, and
        the first digits of its hash.
        """
        recipe, design = self.recipe, self.design
        bare = {"no augmentation": recipe.augmentation == 0, "no weight decay": recipe.weight_decay == 0}
        said = ["bare"] if all(bare.values()) else [text for text, is_so in bare.items() if is_so]
        if design.kind != "subsets":
            said.append(design.kind)
        return ", ".join([f"{recipe.model} {self.dataset}", *said, self.hash[:8]])

    def with_design(self, design: Design) -> "Cell":
        """The cell of the same data set and recipe with another design."""
        return Cell(
            dataset=self.dataset,
            dataset_fingerprint=self.dataset_fingerprint,
            recipe=self.recipe,
            design=design,
            code=self.recipe_code,
        )

    @property
    def recipe_code(self) -> tuple[tuple[str, str], ...]:
        """Of `code`, what the recipe names."""
        return tuple(pair for pair in self.code if pair[0] != getattr(self.design, "function", None))

    def trains_like(self, other: "Cell") -> bool:
        """Whether networks of both are trained alike, on the same data, by the same code."""
        mine, theirs = ((cell.dataset_fingerprint, cell.recipe, cell.recipe_code) for cell in (self, other))
        return mine == theirs

    def params(self) -> dict[str, Any]:
        """Every field, flat, by its MLflow param name; of a long list, its length and its digest."""
        imported = isinstance(self.design, Imported)
        design = self.design.model_dump(mode="json", exclude_unset=imported)
        return {
            "dataset": self.dataset,
            **(self.recipe.model_dump(mode="json", exclude_unset=True) if imported else self.recipe.known()),
            "design": design.pop("kind"),
            **{DESIGN_PARAMS.get(key, key): _short(value) for key, value in design.items()},
            **(
                {"code": ", ".join(f"{name}={digest[:12]}" for name, digest in self.code)}
                if self.code
                else {}
            ),
        }


def _short(value: Any) -> Any:
    """MLflow cuts params of more than 6,000 characters, silently; cell.json has them whole."""
    text = str(value)
    if len(text) <= LONGEST_PARAM:
        return value
    return f"{len(value)} entries, SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
