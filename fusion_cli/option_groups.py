"""The headings that a long list of options has in the help, and what stands below each, by parameter. Data.

What is in none comes last, under a heading of its own.
"""

GROUPS = {
    "Question": (
        *("file", "request", "resume", "rewrite", "continue_last", "continue_"),
        *("response", "prompt", "prompt_file"),
    ),
    "Models": ("panel", "judge", "model", "preset", "provider", "tool_choice", "system"),
    "Work": (
        *("web", "max_tool_calls", "max_completion_tokens", "temperature", "reasoning_effort", "reasoning_max_tokens"),
        *("seed", "quotes", "second_look"),
    ),
    "Time and money": (
        *("timeout", "idle_timeout", "deadline", "quorum", "grace", "max_cost", "allow_unknown_cost", "dry_run"),
    ),
    "Output": (
        *("strict", "save", "quiet", "verbose", "show_responses", "color", "raw"),
        *("json", "form", "output", "json_schema"),
    ),
}
REST = "Options"
MANY = 15  # options: fewer are seen at a glance
