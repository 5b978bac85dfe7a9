"""Write docs/reference.md, every command and every option, from the code: `python docs/reference.py`."""

from pathlib import Path

import click

from memreg.cli import SECTIONS, memreg

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Reference: every command and its options

This page is written by `python docs/reference.py` from the code; a test fails where it is out of date.
`memreg COMMAND --help` says the same. Where a command is an MLflow entry point too,
`mlflow run . -e COMMAND -P option=value` takes the same options.
"""


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for section, programs in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in programs:
            command = memreg.get_command(click.Context(memreg), name)
            assert command is not None
            parts += described(f"memreg {name}", command)
    return "\n".join(parts)


def described(name: str, command: click.Command) -> list[str]:
    """A command's part of the page; a group's has its commands."""
    if isinstance(command, click.Group):
        return [line for sub, each in command.commands.items() for line in described(f"{name} {sub}", each)]
    arguments = [str(p.name).upper() for p in command.params if isinstance(p, click.Argument)]
    help_ = " ".join((command.help or "").split())
    lines = [f"### {' '.join([name, *arguments])}\n", f"{help_}\n"]
    options = [p for p in command.params if isinstance(p, click.Option)]
    rows = [f"| `{p.opts[0]}`{' (required)' if p.required else ''} | {cell(p.help)} |" for p in options]
    return [*lines, *(["| option | |", "| --- | --- |", *rows, ""] if rows else [])]


def cell(text: str | None) -> str:
    """A text as a cell of a Markdown table."""
    return (text or "").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
