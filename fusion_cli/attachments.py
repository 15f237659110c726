"""Images and PDFs beside a question: how they are told from text, who gets them, and about how many tokens they are.

Pure: files are read elsewhere, and so is what a model can take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fusion_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from fusion_cli.chat import Attachment, ModelName
    from fusion_cli.plan import Plan

MAGIC_BYTES = 16  # what has to be seen of a file to tell
PDF = "application/pdf"
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": PDF,
}
_IMAGE_TOKENS = (250, 3_000)  # from one tile of a thrifty model to a large picture in detail
_PDF_TOKENS = (500, 3_000)  # a page of text, and one that is read as text and as a picture
_PDF_BYTES_PER_TOKEN = 20


def media_type(beginning: bytes) -> str | None:
    """Return the media type of an image or a PDF by its first bytes; None for everything else."""
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC.items() if beginning.startswith(magic)), None)


def named(attachments: Iterable[Attachment]) -> str:
    """Return the line that stands for attachments where only text is read."""
    return " ".join(f"[{each.kind}: {each.name}]" for each in attachments)


def tokens(attachments: Collection[Attachment]) -> tuple[int, int]:
    """Return how many tokens attachments likely have at least, and hardly more than."""
    low = high = 0
    for each in attachments:
        least, most = _IMAGE_TOKENS if each.kind == "image" else _PDF_TOKENS
        low += least
        high += most + (0 if each.kind == "image" else len(each.data) * 3 // 4 // _PDF_BYTES_PER_TOKEN)
    return low, high


def addressed(
    plan: Plan, asks: Collection[ModelName], reads: Mapping[ModelName, tuple[str, ...] | None], *, answers: bool
) -> Plan:
    """Return the plan with what of the attachments the judge gets, and warnings of what nobody knows.

    Args:
        plan: What is going to be done.
        asks: The models that may be asked.
        reads: What each of them reads, as far as that is known.
        answers: Whether there is an outer model.

    Raises:
        UsageError: The panel or the outer model cannot take what is attached.
    """
    kinds = sorted({each.kind for each in plan.prompt.attachments})
    panel = {seat.model for seat in plan.panel} if plan.tool_choice != "none" else set()
    readers = sorted((panel | ({plan.outer} if answers else set())) & set(asks))
    warnings = []
    for kind in kinds:
        said = f"{'images' if kind == 'image' else 'PDFs'} ({', '.join(_names(plan, kind))})"
        blind = [model.shown for model in readers if _takes(model, kind, reads) is False]
        if blind:
            hint = (
                "The embedded models read text alone."
                if all(name.startswith("local:") for name in blind)
                else "fusion models shows which can."
            )
            raise UsageError(f"{', '.join(blind)} cannot read {said}", hint=hint)
        if unknown := [model.shown for model in readers if _takes(model, kind, reads) is None]:
            warnings.append(f"whether {', '.join(unknown)} can read {said} is not known: sent all the same")
    judges = plan.judge in asks and (plan.tool_choice != "none" or not answers)
    seen = tuple(kind for kind in kinds if _takes(plan.judge, kind, reads)) if judges else ()
    if judges and (unseen := [name for kind in kinds if kind not in seen for name in _names(plan, kind)]):
        warnings.append(f"the judge {plan.judge.shown} reads only the names of {', '.join(unseen)}")
    return plan._replace(judge_reads=seen, warnings=(*plan.warnings, *warnings))


def _names(plan: Plan, kind: str) -> list[str]:
    return [each.name for each in plan.prompt.attachments if each.kind == kind]


def _takes(model: ModelName, kind: str, reads: Mapping[ModelName, tuple[str, ...] | None]) -> bool | None:
    """Tell whether a model takes this kind; None where nobody knows."""
    if model.is_local:
        return False
    if kind == "PDF" and model.has_server_tools:  # OpenRouter makes text of it for models that cannot read it
        return True
    known = reads.get(model)
    return None if known is None or kind == "PDF" else "image" in known
