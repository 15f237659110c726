"""Whether each of the forty faults has its test."""

import re
from pathlib import Path

from tests.faults.rows import FAULTS


def test_every_fault_has_a_test() -> None:
    """Each number is in the name of a test, and no other is."""
    texts = [path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    found = {int(number) for text in texts for number in re.findall(r"^def test_fault_(\d\d)_", text, re.MULTILINE)}
    assert found == set(FAULTS) == set(range(1, 41))
