"""What an earlier run brought, for a run that takes it up instead of paying for it again. Data.

Knows no file: a journal is read elsewhere, and so is what `--json` printed.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusion_cli.events import AnalysisCompleted, PanelCompleted, PanelFailed

if TYPE_CHECKING:
    from fusion_cli.plan import Panelist, Plan


class Earlier(NamedTuple):
    """The part of an earlier run that stands.

    Attributes:
        run: Its id; empty where it has none, as texts from anywhere.
        file: The name of the file that it stood in, where that was no journal.
        prompt: What its panel was asked; empty where it was not convened.
        told: The words in which the outer model, or the user, asked for that.
        responses: By label; these panelists are not asked again.
        failures: By label; nor are these.
        analysis: The judge's, of these responses.
        is_judged: Whether the judge is not asked again, be there an analysis or not.
        answer: The final one; it stands where nothing that it was written from is new.
    """

    run: str
    prompt: str = ""
    told: str = ""
    responses: Mapping[str, PanelCompleted] = MappingProxyType({})
    failures: Mapping[str, PanelFailed] = MappingProxyType({})
    analysis: AnalysisCompleted | None = None
    is_judged: bool = False
    answer: str | None = None
    file: str = ""

    def texts(self) -> dict[str, str]:
        """Return what those who are not asked again have said, by label; nothing of those who failed."""
        return dict.fromkeys(self.failures, "") | {label: it.content for label, it in self.responses.items()}

    def missing(self, plan: Plan) -> list[Panelist]:
        """Return the panelists of a plan that have to be asked."""
        return [seat for seat in plan.panel if seat.label not in {**self.responses, **self.failures}]

    def needs_no_judge(self, plan: Plan) -> bool:
        """Tell whether the judge is not asked again: it has judged just these responses, or is not wanted."""
        return self.is_judged or (self.analysis is not None and not self.missing(plan))

    def is_whole(self, plan: Plan) -> bool:
        """Tell whether nothing of a plan is left to do."""
        return self.answer is not None and (not self.prompt or not (self.missing(plan) or self.analysis is None))
