"""A reader of `jsonl` output that puts the whole result together from its events, as anybody's could."""

from typing import Any

Line = dict[str, Any]
_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens", "cost")


def rebuilt(lines: list[Line]) -> Line:
    """Return what `--json` prints, from the lines of a run without its `completed`."""
    kinds: dict[str, list[Line]] = {}
    for line in lines:
        kinds.setdefault(line["type"].removeprefix("fusion_call."), []).append(line)
    [created], [planned], [ended] = kinds["created"], kinds["planned"], kinds["ended"]
    calls = kinds.get("call.completed", [])
    for settled in kinds.get("calls.settled", []):
        for call, cost in zip(calls, settled["costs"], strict=True):
            if call["usage"]:
                call["usage"]["cost"] = cost
    found = kinds.get("analysis.completed", [{}])[-1]
    common = {
        "run": created["run"],
        "parent": created["parent"],
        "degraded": ended["degraded"],
        "sources": _sources(planned["plan"]["panel"], kinds.get("panel.completed", []), calls),
        **{key: found.get(key) for key in ("supported", "quotes", "second_look")},
        "usage": _usage([call for call in calls if not call["refused"]]),
        "calls": [_call(call) for call in calls],
        "warnings": _warnings(lines),
        "seed": ended["seed"],
        "version": created["fusion"],
    }
    result = _result(planned["plan"]["panel"], kinds)
    if created["command"] != "ask":
        result |= {key: ended[key] for key in ("error", "failure_reason") if ended[key] is not None}
        prompt = planned["plan"]["prompt"]
        told = "\n\n".join(prompt[key] for key in ("question", "background", "material") if prompt[key])
        return {**result, **common, "judge": created["judge"], "prompt": told}
    asked = kinds.get("in_progress", [{}])[-1].get("prompt")
    answer = kinds.get("answer.completed", [{}])[-1].get("text")
    return {
        "status": ended["status"],
        "answer": answer,
        "fused": bool(kinds.get("panel.completed")),
        "model": created["model"],
        "result": None if asked is None else result,
        "prompt": asked,
        "failure_reason": ended["failure_reason"],
        "error": ended["error"],
        **common,
    }


def _result(panel: list[Line], kinds: dict[str, list[Line]]) -> Line:
    """Return the tool result; what is not there is absent."""
    said = {line["label"]: line for line in kinds.get("panel.completed", [])}
    failed = {line["label"]: line for line in kinds.get("panel.failed", [])}
    responses = [
        {
            **{key: said[seat["label"]][key] for key in ("model", "label", "content")},
            **({"truncated": True} if said[seat["label"]]["truncated"] else {}),
            **({"sources": pages} if (pages := said[seat["label"]]["citations"]) else {}),
        }
        for seat in panel
        if seat["label"] in said
    ]
    failures = [
        {
            **{key: failed[seat["label"]][key] for key in ("model", "label", "error")},
            **({"status_code": code} if (code := failed[seat["label"]]["status_code"]) is not None else {}),
            **({"partial": True, "content": text} if (text := failed[seat["label"]]["partial"]) else {}),
        }
        for seat in panel
        if seat["label"] in failed
    ]
    whole = {
        "analysis": kinds.get("analysis.completed", [{}])[-1].get("analysis"),
        "responses": responses,
        "failed_models": failures,
    }
    shape: Line = {"status": "ok" if responses else "error", **{key: each for key, each in whole.items() if each}}
    if not responses:
        shape |= {"error": "all panel models failed", "failure_reason": kinds["ended"][0]["failure_reason"]}
    return shape


def _sources(panel: list[Line], completed: list[Line], calls: list[Line]) -> list[Line]:
    """Return the pages that were cited, each once: the panel's in the order of its seats, then the others'."""
    cited = {line["label"]: line["citations"] for line in completed}
    pages = [page for seat in panel for page in cited.get(seat["label"], ())]
    pages += [page for call in calls if call["role"] != "panel" and not call["error"] for page in call["citations"]]
    return list({page["url"]: page for page in reversed(pages)}.values())[::-1]


def _call(line: Line) -> Line:
    call = {key: value for key, value in line.items() if key not in ("type", "t", "refused", "steps", "citations")}
    steps = [{"tool": each["tool"], "input": each["input"], "error": each["error"] or None} for each in line["steps"]]
    return {**call, "tool_calls": steps, "sources": line["citations"]}


def _usage(calls: list[Line]) -> Line:
    def over(some: list[Line]) -> Line:
        sums: Line = {}
        for key in _USAGE:
            values = [(call["usage"] or {}).get(key) for call in some]
            sums[key] = None if None in values else sum(values)
        return sums

    played = {role: [call for call in calls if call["role"] == role] for role in ("panel", "judge", "outer")}
    return {**over(calls), "by_role": {role: over(some) if some else None for role, some in played.items()}}


def _warnings(lines: list[Line]) -> list[str]:
    """Return the warnings in their order; that a response was cut off is told by its own event."""
    told = []
    for line in lines:
        if line["type"] == "fusion_call.warning":
            told.append(line["text"])
        elif line["type"] == "fusion_call.panel.completed" and line["truncated"]:
            told.append(f"the response of {line['label']} was cut off by its token limit")
    return told
