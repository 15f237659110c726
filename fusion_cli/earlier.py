"""What an earlier run brought, for a run that takes it up instead of paying for it again. Data.

Knows no file: a journal is read elsewhere, and so is what `--json` printed.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fusion_cli.events import AnalysisCompleted, PanelCompleted, PanelFailed


class Earlier(NamedTuple):
    """The part of an earlier run that stands.

    Attributes:
        run: Its id, or the name of the file that it stood in.
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
