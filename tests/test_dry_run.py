"""Promises of `dry_run`: the table and the object say who would be asked and what it may take, and what is refused."""

import json
from typing import Any

import pytest

from fusion_cli.chat import ModelName, Price, ServerTool
from fusion_cli.dry_run import deliver_dry_run
from fusion_cli.errors import CostLimitError, UnreachableError, UsageError
from fusion_cli.plan import WEB_SEARCH, Limits, Panelist, Plan
from fusion_cli.terminal import Terminal
from tests.story.scripted import plan

PRICE = Price(1e-6, 4e-6)


class Printed:
    """What a dry run prints, with all models at one price."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def of(
        self,
        what: Plan,
        price: Price | None = PRICE,
        *,
        as_json: bool = False,
        answers: bool = True,
        width: int = 80,
    ) -> list[str]:
        """Return the lines of one on a screen so wide."""

        class Screen(Terminal):
            @staticmethod
            def size() -> tuple[int, int]:
                return width, 24

        prices = dict.fromkeys(what.models, price)
        try:
            deliver_dry_run(what, prices, Screen(), as_json=as_json, answers=answers)
        finally:
            self.out = self._capsys.readouterr().out
        return self.out.splitlines()

    def object(self, what: Plan, price: Price | None = PRICE) -> Any:
        """Return the object of one."""
        return json.loads("\n".join(self.of(what, price, as_json=True)))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """Return a printer of dry runs."""
    return Printed(capsys)


class TestTable:
    """What a person reads."""

    def test_a_row_for_each_and_their_total(self, printed: Printed) -> None:
        """Who is asked stands in the order of the run, with calls, tokens and dollars from low to high."""
        lines = printed.of(plan(tool_choice="auto"))
        first = [line.split()[0] for line in lines]
        assert first == ["model", "outer", "panel", "panel", "judge", "answer", "total", "web", "time"]
        assert lines[0].split() == ["model", "calls", "tokens", "in", "tokens", "out", "dollars"]
        assert lines[4].split()[:3] == ["judge", "j", "0-2"]
        assert lines[6].split()[1] == "1-6"
        assert lines[6].split()[-1].startswith("$0.00")

    @pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
    def test_it_fits_the_screen(self, printed: Printed, width: int) -> None:
        """No line passes the screen, of at least 40 columns, and no number is lost on a narrow one."""
        names = ("a-provider/a-model-with-a-long-name", "another-provider/a-model-with-a-name-that-is-even-longer")
        lines = printed.of(plan(*names, tool_choice="auto"), width=width)
        assert max(map(len, lines)) <= max(width, 40)
        wide = printed.of(plan(*names, tool_choice="auto"), width=200)
        assert wide[2].split()[1] == names[0]
        for number in wide[2].split()[2:]:
            assert number in " ".join(lines)

    def test_the_answer_alone_is_called_so(self, printed: Printed) -> None:
        """Without a panel the one call is the answer."""
        assert [line.split()[0] for line in printed.of(plan(tool_choice="none"))] == [
            "model",
            "answer",
            "total",
            "time",
        ]

    def test_it_fits_eighty_columns_and_shows_no_controls(self, printed: Printed) -> None:
        """However long or hostile a name is, the columns stay where they are; the biggest numbers fit, too."""
        name = ModelName("lab", "evil\x1b[31m\nname/" + "x" * 200)
        what = plan(tool_choice="auto")
        what = what._replace(
            panel=(Panelist("se\x1b]0;x\x07at\u202e", name), *what.panel),
            judge=name,
            tools=(ServerTool(WEB_SEARCH),),
            max_tool_calls=16,
            second_look=True,
        )
        lines = printed.of(what, Price(1e-3, 1e-3))
        rows = lines[: lines.index(next(line for line in lines if line.startswith("total"))) + 1]
        assert len(rows) == 8
        assert {len(row) for row in rows} == {len(rows[0])}
        assert len(rows[0]) <= 80
        assert "\x1b" not in printed.out
        assert "\u202e" not in printed.out

    def test_unknown_and_free(self, printed: Printed) -> None:
        """A price that nobody says is not nothing, and what costs nothing is said to."""
        assert printed.of(plan(), None)[-3].split()[-1] == "unknown"
        assert printed.of(plan(provider="local"))[-2].split()[-1] == "free"

    def test_tools_and_limits_stand_below(self, printed: Printed) -> None:
        """Who looks things up and for how long each call may take is said."""
        limits = Limits(timeout_s=10, idle_timeout_s=2.5, deadline_s=None, quorum=2, grace_s=5)
        what = plan()._replace(tools=(ServerTool(WEB_SEARCH),), max_tool_calls=3, limits=limits, max_cost=2.5)
        web, *time, limit = printed.of(what)[-4:]
        assert web == "web     search, run by OpenRouter; at most 3 steps each"
        assert time == [
            "time    10 s to the first word, 2.5 s between words, no limit for the whole run,",
            "        5 s more once 2 have answered",
        ]
        assert limit == "limit   $2.50"
        alone = what._replace(max_tool_calls=1, limits=limits._replace(quorum=1), max_cost=None)
        web, *time = printed.of(alone)[-3:]
        assert web.endswith("at most 1 step each")
        assert time[1].strip() == "5 s more once 1 has answered"


class TestObject:
    """What a script reads."""

    def test_its_keys(self, printed: Printed) -> None:
        """Rows, totals, limits and refusal are there on every dry run."""
        shape = printed.object(plan())
        assert list(shape) == [
            "dry_run",
            "planned",
            "totals",
            "unknown_prices",
            "limits",
            "refused",
            "warnings",
            "version",
        ]
        assert (shape["dry_run"], shape["refused"], shape["unknown_prices"]) == (True, None, [])
        assert [(row["phase"], row["role"], row["model"]) for row in shape["planned"]] == [
            ("panel", "panel", "a"),
            ("panel", "panel", "b"),
            ("judge", "judge", "j"),
            ("answer", "outer", "o"),
        ]
        ends = shape["totals"]["dollars"]
        assert 0 < ends["low"] < ends["high"]
        assert ends["low"] == pytest.approx(sum(row["dollars"]["low"] for row in shape["planned"]), abs=1e-5)
        assert shape["limits"]["max_cost"] is None

    def test_unknown_dollars_are_null(self, printed: Printed) -> None:
        """They are named, and are not 0."""
        shape = printed.object(plan(), None)
        assert shape["totals"]["dollars"] is None
        assert shape["unknown_prices"] == ["openrouter:a", "openrouter:b", "openrouter:j", "openrouter:o"]


class TestRefused:
    """A limit of cost holds as it would in the run."""

    @pytest.mark.parametrize("as_json", [False, True])
    def test_too_expensive(self, printed: Printed, as_json: bool) -> None:
        """The plan is printed all the same, and the status is the run's."""
        with pytest.raises(CostLimitError, match="not started"):
            printed.of(plan()._replace(max_cost=0.001), as_json=as_json)
        assert "0.001" in printed.out
        if as_json:
            assert "not started" in json.loads(printed.out)["refused"]

    def test_unknown(self, printed: Printed) -> None:
        """Unknown prices refuse it too, unless they are allowed."""
        what = plan()._replace(max_cost=1.0)
        with pytest.raises(UsageError, match="unknown"):
            printed.of(what, None)
        assert printed.of(what._replace(allow_unknown_cost=True), None)[-1] == "limit   $1.00"
        assert printed.of(what)[-1] == "limit   $1.00"

    def test_unasked(self, printed: Printed, capsys: pytest.CaptureFixture[str]) -> None:
        """Prices that could not be asked for are a warning, and with a limit the run's error of the network."""
        deliver_dry_run(plan(), {}, Terminal(), as_json=False, answers=True, unasked=["no list: no route"])
        assert capsys.readouterr().err == "warning: no list: no route\n"
        deliver_dry_run(plan(), {}, Terminal(), as_json=True, answers=True, unasked=["no list: no route"])
        assert json.loads(capsys.readouterr().out)["warnings"] == ["no list: no route"]
        with pytest.raises(UnreachableError, match="no list: no route"):
            deliver_dry_run(
                plan()._replace(max_cost=1.0), {}, Terminal(), as_json=True, answers=True, unasked=["no list: no route"]
            )
