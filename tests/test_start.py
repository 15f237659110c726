"""Promises of a start: nobody waits for the import or the making of what is not needed yet."""

from typing import Any

import typer.main

from fusion_cli.cli import COMMANDS, app
from tests.test_house import python


def test_a_question_imports_what_its_first_request_needs() -> None:
    """Neither what follows the panel, nor a list of models, nor the command line that httpx brings along."""
    needed = "context, launch, pipeline, planning, api.client, sinks.journal, sinks.plain"
    modules = ", ".join(f"fusion_cli.{name}" for name in needed.split(", "))
    later = {"analysis", "results", "judging", "synthesis", "second_look", "quotes", "budget", "api.catalogue"}
    unwanted = {"pydantic", "rich", "click", "pygments", *(f"fusion_cli.{name}" for name in later)}
    told = python(f"import sys, {modules}; print(sorted({unwanted} & set(sys.modules)))")
    assert told.stdout == "[]\n"


def test_the_list_of_commands_builds_none_of_them() -> None:
    """It has each one's first sentence, whole on a narrow terminal, too; one that is asked for is built."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("fusion", ["ask"], resilient_parsing=True, terminal_width=40)
    told = " ".join(root.get_help(context).partition("Commands:")[2].split())
    offered = {item.value: item.help for item in root.shell_complete(context, "")}
    assert not root.commands
    assert list(offered) == [*COMMANDS]
    for name, sentence in offered.items():
        assert f"{name} {sentence}" in told
        assert root.get_command(context, name).help.startswith(f"{sentence}\n\n")
