"""A result as Markdown and for programs: every verdict says by which method, over how many claims."""

from __future__ import annotations

from dataclasses import replace

from rstar_math.intervals import Estimate
from rstar_math.paper.claims import Claim, Evidence
from rstar_math.paper.result import Result, claims_markdown


def claim(text: str, value: float, seeds: int = 3) -> Claim:
    by_seed = dict.fromkeys(range(1, seeds + 1), value)
    return Claim(text, (Evidence("a - b", Estimate(value, 0.01, 1000.0, 0.01, seeds, 1000, by_seed)),))


def test_a_verdict_says_its_method_its_seeds_and_its_corrected_p() -> None:
    clear, unclear = claim("it is more", 0.05), claim("it is more again", 0.022)
    assert claims_markdown([unclear]).splitlines() == [
        "- **holds** (p = 0.028; t over 3 seeds and problems): it is more again.",
        "  - a - b: +2.2 [+0.2, +4.2]; by seed +2.2, +2.2, +2.2",
    ]
    text = claims_markdown([clear, unclear, *[claim("nothing", 0.0)] * 2])
    assert "- **holds** (p = 6.8e-07, 2.7e-06 after Holm over 4 claims; t over 3 seeds and problems): it is" in text
    assert "- **within noise** (p = 0.028, 0.084 after Holm over 4 claims; t over 3 seeds and problems)" in text
    assert "(p = 0.028; t over problems, one seed)" in claims_markdown([claim("one", 0.022, seeds=1)])
    assert claims_markdown([Claim("nothing there", ())]) == "- **not measured**: nothing there.\n"


def test_primary_claims_come_first_and_say_so() -> None:
    claims = [claim("further", 0.022), *[replace(claim(text, 0.05), primary=True) for text in ("first", "second")]]
    lines = [line for line in claims_markdown(claims).splitlines() if not line.startswith("  ")]
    assert lines[0] == "Primary claims, stated before the run:"
    assert "first." in lines[2]
    assert "after Holm over 2 primary claims" in lines[2]
    assert lines[4:7] == ["", "Further claims:", ""]
    assert lines[7] == "- **holds** (p = 0.028; t over 3 seeds and problems): further."
    found = Result("table0", "Table 0", (), tuple(claims)).as_json()["claims"]
    assert [c["primary"] for c in found] == [False, True, True]


def test_programs_get_the_same() -> None:
    found = Result("table0", "Table 0", (), (claim("it is more", 0.022), Claim("nothing there", ()))).as_json()
    decided, unmeasured = found["claims"]
    assert (decided["verdict"], decided["correction"], decided["num_claims"]) == ("holds", "Holm", 1)
    assert decided["p"] == decided["p_corrected"] < 0.05
    assert decided["method"] == "t over 3 seeds and problems"
    (evidence,) = decided["evidence"]
    assert (evidence["num_seeds"], evidence["num_problems"], evidence["by_seed"]["2"]) == (3, 1000, 0.022)
    assert evidence["low"] < evidence["difference"] < evidence["high"]
    assert (unmeasured["verdict"], unmeasured["p_corrected"]) == ("not measured", 1.0)
