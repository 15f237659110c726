"""A journal is enough to make a run's whole result again, whatever the story was."""

from pathlib import Path
from typing import Any

import pytest

from fusion_cli import recorded, run_files
from fusion_cli.chat import Citation, Completion, ToolCall, Usage
from fusion_cli.errors import RateLimitError, ServerFailedError
from fusion_cli.plan import Plan
from fusion_cli.results import AnalysisRun, AskRun, ToolResult
from tests.recording import happy, record
from tests.story.scripted import JUDGE_REPLY, ScriptedModels, calls, panel_of_two, plan, says

BAD = ServerFailedError("HTTP 500: no", status_code=500)
CUT = ServerFailedError("the stream broke off", partial="half a sen")
CITING = Completion("see [1]", "length", Usage(1, 2, 3), citations=(Citation("https://x.example/", "X"),))
QUOTING = """{"consensus": ["c"], "contradictions": [], "partial_coverage": [
  {"models": ["A"], "point": "p", "quotes": ["now"]}], "unique_insights": [], "blind_spots": []}"""


def panel(*lines: Any) -> ScriptedModels:
    """Return models whose panelists answer so."""
    models = ScriptedModels()
    for slug, line in zip("ab", lines, strict=False):
        models.script("panel", slug, line)
    return models


def judged(models: ScriptedModels, *replies: str) -> ScriptedModels:
    """Return these models with a judge."""
    return models.script("judge", "j", *map(says, replies or (JUDGE_REPLY,)))


def answered(models: ScriptedModels) -> ScriptedModels:
    """Return these models with an outer model that answers."""
    return models.script("outer", "o", says("the answer"))


AUTO = plan(tool_choice="auto")
FUSION = calls(ToolCall("1", "fusion", '{"prompt": "in its words"}'), text="Let me ask.")
STORIES: dict[str, tuple[str, Any, Plan]] = {
    "happy": ("ask", happy, plan()),
    "happy analysis": ("analyze", lambda: judged(panel_of_two()), plan()),
    "alone": ("ask", lambda: answered(ScriptedModels()), plan(tool_choice="none")),
    "asked for": ("ask", lambda: answered(judged(panel_of_two()).script("outer", "o", FUSION)), AUTO),
    "degraded": ("ask", lambda: answered(judged(panel(says("now"), BAD))), plan()),
    "cut off": ("analyze", lambda: judged(panel(CITING, CUT)), plan()),
    "judge failed": ("ask", lambda: answered(judged(panel_of_two(), "no", "no")), plan()),
    "judge failed alone": ("analyze", lambda: judged(panel_of_two(), "no", "no"), plan()),
    "all failed": ("analyze", lambda: panel(BAD, RateLimitError("HTTP 429: later", status_code=429)), plan()),
    "no answer": ("ask", lambda: judged(panel_of_two()).script("outer", "o", BAD), plan()),
    "quotes": ("analyze", lambda: judged(panel_of_two(), QUOTING), plan()._replace(quotes=True)),
    "another judge": ("judge", lambda: judged(ScriptedModels()), plan()._replace(tool_choice="none")),
    "two looks": ("analyze", lambda: judged(panel_of_two(), *[JUDGE_REPLY] * 2), plan()._replace(second_look=True)),
    "cancelled in the panel": ("ask", lambda: panel(says("now")).hang("panel", "b"), plan()),
    "cancelled in judging": ("ask", lambda: panel_of_two().hang("judge", "j"), plan()),
    "cancelled in answering": ("ask", lambda: judged(panel_of_two()).hang("outer", "o"), plan()),
}  # fmt: skip
each_story = pytest.mark.parametrize("name", STORIES)


def result_in(run: AskRun | AnalysisRun) -> ToolResult | None:
    """Return the tool result of a run."""
    return run.result if isinstance(run, AskRun) else run


@each_story
def test_the_pieces_are_the_result(tmp_path: Path, name: str) -> None:
    """Responses, failures, analysis and answer, each read from its own line, are the returned run's."""
    command, models, what = STORIES[name]
    run, path = record(tmp_path, models(), what, command=command)
    saved = run_files.read(path)
    result = result_in(run)
    said = (result.responses if result else None) or []
    failed = (result.failed_models if result else None) or []
    assert {label: it.content for label, it in saved.responses.items()} == {it.label: it.content for it in said}
    assert {label: (it.error, it.status_code, it.partial or None) for label, it in saved.failures.items()} == {
        it.label: (it.error, it.status_code, it.content) for it in failed
    }
    assert (saved.analysis.analysis if saved.analysis else None) == (result.analysis if result else None)
    assert (saved.analysis.second_look if saved.analysis else None) == run.second_look
    assert (saved.analysis.quotes if saved.analysis else None) == run.quotes
    assert saved.answer == (run.answer if isinstance(run, AskRun) else None)
    assert saved.prompt == (run.prompt if isinstance(run, AskRun) else what.prompt.text())
    assert saved.skipped == 0


@each_story
def test_the_last_lines_are_what_json_prints(tmp_path: Path, name: str) -> None:
    """The object is the one that `--json` printed, key by key, and the run that it stands for the same run."""
    command, models, what = STORIES[name]
    run, path = record(tmp_path, models(), what, command=command)
    saved = run_files.read(path)
    assert recorded.object_of(saved) == run.model_dump()
    assert list(recorded.object_of(saved)) == list(run.model_dump())
    assert recorded.result_of(saved) == run.because(None)
    assert saved.summary.cost == run.usage.cost
    assert saved.summary.total_tokens == run.usage.total_tokens


@each_story
def test_a_run_that_was_killed_is_made_of_its_pieces(tmp_path: Path, name: str) -> None:
    """Without its last lines, a run has the same responses, analysis, sources and answer, and is degraded."""
    command, models, what = STORIES[name]
    run, path = record(tmp_path, models(), what, command=command, is_killed=True)
    made = recorded.result_of(run_files.read(path))
    assert type(made) is type(run)
    assert type(made).model_validate(recorded.object_of(run_files.read(path))) == made
    before, after = result_in(run), result_in(made)
    assert (before is None) == (after is None)
    if before and after:
        assert after.responses == before.responses
        assert after.analysis == before.analysis
        assert after.failed_models == before.failed_models
    if isinstance(run, AskRun) and isinstance(made, AskRun):
        assert (made.answer, made.fused, made.model, made.prompt) == (run.answer, run.fused, run.model, run.prompt)
        assert made.status == ("ok" if run.answer is not None else "error")
    assert made.degraded
    assert (made.run, made.sources, made.quotes, made.second_look) == (
        run.run,
        run.sources,
        run.quotes,
        run.second_look,
    )
    assert (made.usage.cost, made.calls) == (None, [])
    assert "did not end" in made.warnings[-1]


def test_a_result_that_does_not_fit_is_made_of_its_pieces(tmp_path: Path) -> None:
    """A `completed` line that somebody has changed does not stand for the run."""
    run, path = record(tmp_path)
    path.write_text(path.read_text("utf-8").replace('"fused":true', '"fused":NaN'), "utf-8")
    saved = run_files.read(path)
    assert saved.result is not None
    assert recorded.object_of(saved)["answer"] == "the answer"
    assert recorded.object_of(saved)["usage"]["cost"] is None
    assert run.usage.cost is not None
