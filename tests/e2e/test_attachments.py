"""Images and PDFs as their users attach them: sent to whoever can take them, or refused before anything is sent."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from tests.attaching import FILES, PNG
from tests.e2e.command import MODELS, fusion
from tests.wire.server import Fault, Reply, Request, WireServer, deliberation, failure

REQUIRED = (*MODELS, "--tool-choice", "required")
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
MODELS_PATH = "/api/v1/models"


@pytest.fixture
def server() -> Iterator[WireServer]:
    """Serve models of whom the panel sees and the judge does not; have the files in the working directory."""
    for name, (data, _) in FILES.items():
        Path(name).write_bytes(data)
    with WireServer(deliberation()) as server:
        for model in server.models:
            model["architecture"] = {"input_modalities": ["text", "image"]}
        server.models.append({**server.models[0], "id": "z/judge", "canonical_slug": "z/judge"})
        can(server, "z/judge", "text")
        yield server


def can(server: WireServer, slug: str, *modalities: str) -> None:
    """Say what a model reads."""
    (model,) = [model for model in server.models if model["id"] == slug]
    model["architecture"] = {"input_modalities": list(modalities)}


def parts(request: Request) -> list[dict[str, Any]]:
    """Return the parts of a request's messages that are no text."""
    contents = [message["content"] for message in request.body["messages"]]
    return [part for it in contents if isinstance(it, list) for part in it if part["type"] != "text"]


def test_an_image_reaches_panel_and_writer(server: WireServer) -> None:
    """As a data URL; the judge reads its name, and that is said."""
    told = fusion("ask", *REQUIRED, "-f", "a.png", "--json", "What is it?", server=server)
    assert told.status == 0
    image = {"type": "image_url", "image_url": {"url": URL}}
    assert {request.role: parts(request) for request in server.calls()} == {
        "panel": [image],
        "judge": [],
        "outer": [image],
    }
    assert any("[image: a.png]" in text for text in server.calls("judge")[0].texts)
    assert told.json()["prompt"] == "What is it?\n\n[image: a.png]"
    assert told.json()["warnings"] == ["the judge z/judge reads only the names of a.png"]


def test_a_judge_that_sees_gets_it(server: WireServer) -> None:
    """Then there is nothing to say."""
    can(server, "z/judge", "text", "image")
    told = fusion("analyze", *REQUIRED[:6], "-f", "a.png", "--json", "What is it?", server=server)
    assert (told.status, told.json()["warnings"]) == (0, [])
    assert len(parts(server.calls("judge")[0])) == 1


def test_a_model_that_does_not_see_is_named(server: WireServer) -> None:
    """Before anything but the list is asked for; the same without the image is answered."""
    can(server, "anthropic/claude-opus-4.8", "text")
    told = fusion("ask", *REQUIRED, "-f", "a.png", "-f", "b.jpg", "What is it?", server=server)
    assert told.status == 2
    assert told.stderr == (
        "fusion: anthropic/claude-opus-4.8 cannot read images (a.png, b.jpg)\nfusion models shows which can.\n"
    )
    assert [request.path for request in server.requests] == [MODELS_PATH]
    assert fusion("ask", *REQUIRED, "What is it?", server=server).status == 0


def test_what_the_list_does_not_say_is_tried(server: WireServer) -> None:
    """A model that nobody knows, or a list that cannot be had, costs a warning."""
    server.script(MODELS_PATH, failure(503))
    told = fusion("ask", "--tool-choice", "none", "-m", "new/model", "-f", "a.png", "--json", "?", server=server)
    assert told.status == 0
    (warning,) = told.json()["warnings"]
    assert warning == "whether new/model can read images (a.png) is not known: sent all the same"
    assert len(parts(server.calls()[0])) == 1


def test_a_pdf_goes_to_every_model_of_openrouter(server: WireServer) -> None:
    """With its bare name."""
    Path("papers").mkdir()
    Path("papers/f.pdf").write_bytes(FILES["f.pdf"][0])
    told = fusion("ask", *REQUIRED, "-f", "papers/f.pdf", "--json", "Is it right?", server=server)
    assert (told.status, told.json()["warnings"]) == (0, [])
    for request in server.calls():
        (part,) = parts(request)
        assert part["type"] == "file"
        assert part["file"]["filename"] == "f.pdf"
        assert part["file"]["file_data"].startswith("data:application/pdf;base64,JVBERi0")


def test_a_server_of_ones_own_gets_them_with_a_warning(server: WireServer) -> None:
    """Nobody knows what it can take, and its list is not asked."""
    path = platformdirs.user_config_path("fusion", appauthor=False) / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'[providers.lab]\nbase_url = "{server.url}"\n')
    told = fusion("ask", "--tool-choice", "none", "-m", "lab:llava", "-f", "c.gif", "--json", "What is it?")
    assert told.status == 0
    assert told.json()["warnings"] == ["whether lab:llava can read images (c.gif) is not known: sent all the same"]
    assert parts(server.calls()[0])[0]["image_url"]["url"].startswith("data:image/gif;base64,")
    assert MODELS_PATH not in {request.path for request in server.requests[:1]}


@pytest.mark.parametrize("name", ["a.png", "f.pdf"])
def test_embedded_models_are_named(server: WireServer, name: str) -> None:
    """They read text alone, and are not started for that."""
    told = fusion("ask", "--preset", "local", "-f", name, "What is it?")
    assert told.status == 2
    assert "local:qwen2.5-coder-1.5b cannot read" in told.stderr
    assert "The embedded models read text alone." in told.stderr


def test_a_run_goes_on_with_them(server: WireServer) -> None:
    """What was attached is in the journal, so that the files may be gone; `runs show` names them."""
    server.script("anthropic/claude-opus-4.8", Reply("half", fault=Fault("reset", after=1)))
    fusion("ask", *REQUIRED, "-f", "a.png", "-f", "f.pdf", "What is it?", server=server)
    server.script("anthropic/claude-opus-4.8", Reply("whole"))
    for name in FILES:
        Path(name).unlink()
    server.forget()
    resumed = fusion("ask", "--resume", "last", "--json", server=server)
    assert resumed.status == 0
    asked = {(request.role, request.model): len(parts(request)) for request in server.calls()}
    assert asked == {
        ("panel", "anthropic/claude-opus-4.8"): 2,
        ("judge", "z/judge"): 1,
        ("outer", "openai/gpt-5"): 2,
    }
    for form in ("plain", "markdown"):
        assert "attached: a.png, f.pdf" in fusion("runs", "show", "last", "--format", form).stdout
    can(server, "z/judge", "text", "image")
    Path(platformdirs.user_cache_path("fusion", appauthor=False)).rename("aside")
    server.forget()
    assert fusion("judge", "last", "-j", "z/judge", "--json", server=server).status == 0
    assert [len(parts(request)) for request in server.calls()] == [2]
    server.forget()
    assert fusion("ask", "-c", "And why?", server=server).status == 0
    assert {len(parts(request)) for request in server.calls("panel")} == {2}


def test_a_dry_run_counts_them(server: WireServer) -> None:
    """It refuses what the run would, and estimates more for a picture."""
    bare = fusion("ask", *REQUIRED, "--dry-run", "--json", "What is it?", server=server).json()
    more = fusion("ask", *REQUIRED, "-f", "a.png", "--dry-run", "--json", "What is it?", server=server).json()
    assert more["totals"]["prompt_tokens"]["low"] > bare["totals"]["prompt_tokens"]["low"] + 700
    can(server, "openai/gpt-5", "text")
    Path(platformdirs.user_cache_path("fusion", appauthor=False)).rename("aside")
    assert fusion("ask", *REQUIRED, "-f", "a.png", "--dry-run", "What is it?", server=server).status == 2


def test_images_in_a_request_body_are_refused_as_before(server: WireServer) -> None:
    """With the place where they stand."""
    Path("body.json").write_text(
        '{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}'
    )
    told = fusion("ask", "--request", "body.json", server=server)
    assert told.status == 2
    assert "messages[0].content: expected text, found an image_url part" in told.stderr
