"""The httpx wall: chat completions over HTTP, as OpenRouter and OpenAI-compatible servers speak them."""
