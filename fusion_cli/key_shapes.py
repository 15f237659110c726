"""What a key looks like: what may be one is not shown, and what is one is not taken for anything else. Pure."""

import re

# Patterns are compiled when they are first needed, which for most runs is never.
_KEY_STARTS = (
    "sk-", "sk_", "gsk-", "gsk_", "rk-", "rk_", "xai-", "xai_", "hf_",
    "gho_", "ghp_", "ghs_", "ghu_", "github_pat_", "glpat-", "AIza", "tvly-",
)  # fmt: skip
_SECRET_SHAPE = (
    rf"(?i)(?<![a-z0-9])(?:{'|'.join(_KEY_STARTS)}|bearer\b).{{4}}"
    r"|(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{24,}"  # without separators: a name of words and a year has them
    r"|(?-i:(?<![A-Za-z0-9])BSA[A-Za-z0-9_-]{20})"  # Brave's, which may have them
)
# Narrower, to refuse by: a word or a provider may begin like a key, but goes on with words, or with a slash.
_KEY_SHAPE = (
    rf"(?<![^\s:='\"(<])(?:{'|'.join(_KEY_STARTS)}|[Bb]earer\s+)"
    r"(?=[^/\s]{16,}(?!\S))[^/\s]*?(?=[A-Za-z]*[0-9])[A-Za-z0-9]{10}"
)


def may_be_secret(text: str) -> bool:
    """Tell whether a text looks like a key."""
    return bool(re.search(_SECRET_SHAPE, text[:400]))  # no more of it is ever shown, and the search is quadratic


def is_key(text: str) -> bool:
    """Tell whether a short text holds what can be nothing but a key."""
    # Nearly every name is none of these, and the pattern takes milliseconds to compile.
    return any(start in text for start in (*_KEY_STARTS, "earer")) and bool(re.search(_KEY_SHAPE, text))
