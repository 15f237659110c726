"""Promises of `jsonl` output: each line is as its schema says, and together they are the whole run."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fusion_cli import events, pipeline
from fusion_cli.chat import Citation, Completion, ToolStep, Usage
from fusion_cli.choices import Choices
from fusion_cli.errors import CostLimitError, ModelError, ServerFailedError
from fusion_cli.event_lines import event_lines
from fusion_cli.line_schema import schema_of_lines
from fusion_cli.outcome import ask_run_without_calls
from fusion_cli.results import AnalysisRun, AskRun
from fusion_cli.sinks.json_lines import JsonLines
from tests.e2e.command import fusion
from tests.rebuilding import rebuilt
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, plan, says
from tests.test_house import the_same
from tests.test_schemas import required

SNAPSHOT = Path(__file__).parent / "snapshots" / "schemas" / "lines.json"
CITING = Completion("now", "stop", Usage(10, 5, 15), citations=(Citation("https://x.example/", "X"),))
BROKEN = ServerFailedError("HTTP 500: no", status_code=500, partial="half")
LONG = says("later", finish_reason="length")


def told(
    models: ScriptedModels, command: str = "ask", **of_plan: Any
) -> tuple[AskRun | AnalysisRun, list[dict[str, Any]]]:
    """Run a story and return its result, and its lines."""
    written: list[str] = []
    what = plan()._replace(**of_plan)
    lines = JsonLines(written.append)
    lines.begin("20261128T000000000-abcdef", "2026-11-28T00:00:00Z", command, what, Choices(), None)

    async def tell() -> AskRun | AnalysisRun:
        return await (pipeline.ask if command == "ask" else pipeline.analyze)(what, models, lines)

    with models:
        run = asyncio.run(tell()).model_copy(update={"run": "20261128T000000000-abcdef"})
    lines(events.RunCompleted(run))
    assert all(line.endswith("\n") and line.isascii() and line.count("\n") == 1 for line in written)
    return run, [json.loads(line) for line in written]


def panel(a: Any, b: Any, judge: str | None = JUDGE_REPLY, answer: Any = None) -> ScriptedModels:
    """Return models that say this."""
    models = ScriptedModels().script("panel", "a", a).script("panel", "b", b)
    if judge is not None:
        models.script("judge", "j", *[says(judge)] * (1 if judge.startswith("{") else 2))
    return models if answer is None else models.script("outer", "o", answer)


RUNS: dict[str, Any] = {
    "happy": lambda: told(panel(CITING, says("later"), answer=says("done"))),
    "cut off": lambda: told(panel(CITING, LONG, answer=says("done"))),
    "degraded": lambda: told(panel(CITING, BROKEN, answer=says("done"))),
    "no analysis": lambda: told(panel(CITING, says("later"), judge="no", answer=says("done"))),
    "no answer": lambda: told(
        panel(CITING, says("later"), answer=ServerFailedError("HTTP 500: oops", status_code=500))
    ),
    "no panel": lambda: told(panel(BROKEN, ModelError("no"), None, answer=says("alone"))),
    "alone": lambda: told(ScriptedModels().script("outer", "o", says("alone")), tool_choice="none"),
    "analyze": lambda: told(panel(CITING, says("later")), "analyze"),
    "analyze failed": lambda: told(panel(BROKEN, ModelError("no"), None), "analyze"),
    "analyze without analysis": lambda: told(panel(CITING, says("later"), judge="no"), "analyze"),
    "checked": lambda: told(panel(CITING, says("later")), "analyze", quotes=True),
}


def shape_of(line: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a line's kind."""
    kinds = [schema["$defs"][each["$ref"].rpartition("/")[2]] for each in schema["anyOf"]]
    return next(kind for kind in kinds if kind["properties"]["type"]["const"] == line["type"])


@pytest.mark.usefixtures("warm_command")
def test_the_schema_is_as_reviewed() -> None:
    """`--json-schema` prints it beside `--format jsonl`, wherever the two stand; alone, the other one."""
    said = fusion("ask", "--json-schema", "--format", "jsonl", env={"FUSION_CONFIG": "/nowhere"})
    assert (said.status, said.stderr) == (0, "")
    assert fusion("judge", "--format=jsonl", "--json-schema").stdout == said.stdout
    assert fusion("analyze", "--json-schema").json()["title"] == "AnalysisRun"
    the_same(SNAPSHOT, said.stdout)


def test_every_event_has_its_line_in_the_schema() -> None:
    """Whoever adds a class of events adds to the schema without knowing."""
    schema = schema_of_lines()
    consts = [
        schema["$defs"][each["$ref"].rpartition("/")[2]]["properties"]["type"]["const"] for each in schema["anyOf"]
    ]
    kinds = {kind.__dict__["_field_defaults"]["type"] for kind in events.Event.__args__}
    assert {f"fusion_call.{kind}" for kind in kinds} <= set(consts)
    assert len(consts) == len(set(consts))


@pytest.mark.parametrize("name", RUNS)
def test_lines_are_as_the_schema_says(name: str) -> None:
    """Each has what is required and nothing else, from the first to the last."""
    schema = schema_of_lines()
    _, lines = RUNS[name]()
    for line in lines:
        kind = shape_of(line, schema)
        assert set(line) == set(kind["properties"]) == set(kind["required"])
        if line["type"] not in ("fusion_call.planned", "fusion_call.completed"):
            assert required_but_consts(kind, schema, line) == []


def required_but_consts(kind: dict[str, Any], schema: dict[str, Any], line: dict[str, Any]) -> list[str]:
    """Return where a line's values are not what its schema says."""
    return [
        wrong
        for key, value in line.items()
        if "const" not in kind["properties"][key]
        for wrong in required(kind["properties"][key], schema["$defs"], value, key)
    ]


@pytest.mark.parametrize("name", RUNS)
def test_times_go_up_and_the_form_has_a_version(name: str) -> None:
    """From 0 on, in seconds; the first line says which form this is, the last one that there is no more."""
    _, lines = RUNS[name]()
    times = [line["t"] for line in lines]
    assert times == sorted(times)
    assert times[0] == 0
    assert (lines[0]["type"], lines[0]["version"]) == ("fusion_call.created", 1)
    assert lines[-1]["type"] == "fusion_call.ended"


@pytest.mark.parametrize("name", RUNS)
def test_a_reader_can_rebuild_the_whole_result(name: str) -> None:
    """Key by key what `--json` prints, without a look at the line that has it whole."""
    run, lines = RUNS[name]()
    assert rebuilt([line for line in lines if line["type"] != "fusion_call.completed"]) == run.model_dump()


def begun() -> tuple[JsonLines, list[str]]:
    """Return the sink of a run that nobody has been asked in yet, and what it has written."""
    written: list[str] = []
    lines = JsonLines(written.append)
    lines.begin("20261128T000000000-abcdef", "2026-11-28T00:00:00Z", "ask", plan(), Choices(), None)
    return lines, written


def test_a_run_that_is_refused_has_no_id() -> None:
    """Where the end is all that there is to tell, the first line names no run that the last ones do not."""
    lines, written = begun()
    assert written == []
    lines(events.RunCompleted(ask_run_without_calls(CostLimitError("too dear"))))
    first, _, completed, _ = map(json.loads, written)
    assert (first["type"], first["run"], completed["run"]["run"]) == ("fusion_call.created", None, None)


@pytest.mark.parametrize("begin", [JsonLines.start, lambda lines: lines(events.Warned("w"))])
def test_a_run_that_is_under_way_has_its_id_at_once(begin: Callable[[JsonLines], None]) -> None:
    """As soon as somebody is asked or something is told, the first two lines are there, and they stay two."""
    lines, written = begun()
    begin(lines)
    created, planned, *_ = map(json.loads, written)
    assert (created["run"], planned["type"]) == ("20261128T000000000-abcdef", "fusion_call.planned")
    lines.start()
    assert sum("fusion_call.created" in line for line in written) == 1


def test_thoughts_have_lines_of_their_own() -> None:
    """As upstream's stream has them: text and reasoning of one delta are two events."""
    lines = event_lines(events.PanelDelta("a", "text", "thought"), 1.23456)
    assert lines == [
        {"type": "fusion_call.panel.reasoning.delta", "t": 1.235, "label": "a", "text": "thought"},
        {"type": "fusion_call.panel.delta", "t": 1.235, "label": "a", "text": "text"},
    ]
    assert event_lines(events.PanelDelta("a", "", ""), 1.0) == []


def test_what_models_wrote_is_escaped() -> None:
    """A line is safe on a terminal and in any encoding, and means the same."""
    written: list[str] = []
    JsonLines(written.append)(events.AnswerDelta("\x1b[31m\x9b\u202e\ud83d\u2028é"))
    assert written[0].rstrip("\n").isascii()
    assert written[0].rstrip("\n").isprintable()
    assert json.loads(written[0])["text"] == "\x1b[31m\x9b\u202e\ud83d\u2028é"


def test_a_calls_tool_steps_are_in_its_line() -> None:
    """With the tool calls that were carried out here, and how they ended."""
    step = ToolStep(1, "web_fetch", "https://x.example/", "failed", "HTTP 404")
    event = events.CallCompleted(
        "panel", "a", None, "a", 1, 2.0, "stop", None, ("web_fetch",), (step,), (), None, False
    )
    [line] = event_lines(event, 2.0)
    assert line["steps"] == [step._asdict()]
