"""The JSON Schemas of what `--json` prints: as reviewed, told of in the changelog, and true of what is printed."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fusion_cli.dry_run import DryRun
from fusion_cli.results import AnalysisRun, AskRun
from tests.e2e.command import MODELS, fusion
from tests.test_house import ROOT, the_same
from tests.wire.server import Reply, WireServer, deliberation, failure

pytestmark = pytest.mark.usefixtures("warm_command")

SCHEMAS: dict[str, type[BaseModel]] = {"ask": AskRun, "analyze": AnalysisRun, "judge": AnalysisRun}
SNAPSHOTS = Path(__file__).parent / "snapshots" / "schemas"


@pytest.mark.parametrize("command", SCHEMAS)
def test_schema_is_as_reviewed(command: str) -> None:
    """A command prints its schema, which is the one in its snapshot, whatever the configuration is."""
    told = fusion(command, "--json-schema", env={"FUSION_CONFIG": "/nowhere"})
    assert (told.status, told.stderr) == (0, "")
    assert json.loads(told.stdout) == SCHEMAS[command].model_json_schema(mode="serialization")
    the_same(SNAPSHOTS / f"{command}.json", told.stdout)


@pytest.mark.parametrize("command", SCHEMAS)
def test_a_changed_schema_is_in_the_changelog(command: str) -> None:
    """The changelog's top entry names each schema's digest: whoever changes one says there what changed."""
    digest = sha256((SNAPSHOTS / f"{command}.json").read_bytes()).hexdigest()[:8]
    entries = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## [")
    assert f"`{command}` {digest}" in entries[1], f"say what changed in the changelog, with: `{command}` {digest}"


@pytest.mark.parametrize("command", SCHEMAS)
def test_a_dry_run_has_a_schema_of_its_own(command: str) -> None:
    """Beside --dry-run its schema is printed, wherever the two stand, and what it prints fits."""
    told = fusion(command, "--json-schema", "--dry-run", env={"FUSION_CONFIG": "/nowhere"})
    assert told == fusion(command, "--dry-run", "--json-schema")
    the_same(SNAPSHOTS / "dry-run.json", told.stdout)
    schema = told.json()
    assert schema == DryRun.model_json_schema(mode="serialization")
    if command == "judge":
        return
    models = MODELS if command == "ask" else MODELS[:6]
    with WireServer() as server:
        printed = fusion(command, *models, "--dry-run", "--json", "q", server=server).json()
    assert DryRun.model_validate(printed).model_dump() == printed
    assert set(printed) == set(schema["required"])


def required(schema: Any, definitions: Any, value: Any, place: str = "") -> list[str]:
    """Return where a value lacks what its schema requires, or has what it does not know."""
    if "$ref" in schema:
        return required(definitions[schema["$ref"].rpartition("/")[2]], definitions, value, place)
    if "anyOf" in schema:
        kept = [option for option in schema["anyOf"] if (option.get("type") == "null") == (value is None)]
        return required(kept[0], definitions, value, place) if kept else [place]
    if schema["type"] == "object":
        wrong = {*(set(schema["required"]) - set(value)), *(set(value) - set(schema["properties"]))}
        return [
            *(f"{place}.{key}" for key in wrong),
            *(
                inner
                for key in value
                if key in schema["properties"]
                for inner in required(schema["properties"][key], definitions, value[key], f"{place}.{key}")
            ),
        ]
    if schema["type"] == "array":
        return [
            inner
            for index, item in enumerate(value)
            for inner in required(schema["items"], definitions, item, f"{place}[{index}]")
        ]
    kinds = {"string": str, "boolean": bool, "integer": int, "number": int | float, "null": type(None)}
    return [] if isinstance(value, kinds[schema["type"]]) else [place]


CHECKED = ("--quotes", "--second-look")
FORCED = ("--tool-choice", "required")


@pytest.mark.parametrize(
    ("command", "arguments", "broken"),
    [
        ("ask", FORCED, "nothing"),
        ("ask", ("--tool-choice", "none"), "nothing"),
        *(("ask", (*FORCED, *CHECKED), broken) for broken in ("nothing", "panelist", "judge", "panel", "key")),
        *(("analyze", CHECKED, broken) for broken in ("nothing", "panelist", "judge", "panel", "key")),
    ],
)
def test_what_is_printed_is_what_the_schema_says(command: str, arguments: tuple[str, ...], broken: str) -> None:
    """Whole, degraded or failed: every object has what its schema requires, and nothing else."""
    models = MODELS if command == "ask" else MODELS[:6]
    with WireServer(default=deliberation(latency_s=0), api_key="other" if broken == "key" else None) as server:
        if broken == "panelist":
            server.script(MODELS[1], failure(400, "no"), role="panel")
        if broken == "judge":
            server.script("*", *[Reply("no json")] * 4, role="judge")
        if broken == "panel":
            server.script("*", failure(400, "no"), role="panel")
        ended = fusion(command, *models, *arguments, "--json", "x", server=server)
    schema = SCHEMAS[command].model_json_schema(mode="serialization")
    assert required(schema, schema["$defs"], ended.json()) == []
    assert SCHEMAS[command].model_validate(ended.json()).model_dump() == ended.json()
