"""What holds where nobody says otherwise, and what the names of upstream's aliases stand for."""

from fusion_cli.chat import ServerTool
from fusion_cli.plan import WEB_FETCH, WEB_SEARCH

# Specification, section 2.
TOOLS = (ServerTool(WEB_SEARCH), ServerTool(WEB_FETCH))

# The alias convenes the panel at once, with the preset's judge as outer model (specification, section 1).
ALIASES = {"openrouter/fusion": "general-high", "openrouter/fusion-flash": "general-fast"}

# Small models do not know when to stop; these are chosen so that a run takes about a minute on two cores.
LOCAL_MAX_TOKENS = {"panel": 160, "judge": 800, "answer": 300}


def preset_of_alias(name: str) -> str | None:
    """Return the preset that a model's name stands for, where it is one of the aliases, in whatever variant."""
    return ALIASES.get(name.removeprefix("openrouter:").partition(":")[0].lower())
