"""The httpx wall: chat completions over HTTP, as OpenRouter and OpenAI-compatible servers speak them."""

import sys

# httpx brings a command line of its own, and with it, where click happens to be installed, click, pygments and rich:
# 30 ms that a question would wait. This is Python's own way to say that there is none, which httpx can do without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
