"""Faults injected and bad inputs tried: runs every test that is marked as one, and writes the page of the docs.

    python benchmarks/faults.py [--write docs/faults.md] [pytest options]

A test says that it is one by `@pytest.mark.fault(area, what)` (something breaks while a run is under way) or
`@pytest.mark.bad_input(area, what)` (a user, a file or a server gives what does not fit). The test asserts the right
outcome, so a row of the page is a test that passed; `what` may hold `{id}`, the id of a parametrised case.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"fault": ("Faults injected", "survived"), "bad_input": ("Bad inputs tried", "handled")}
HEAD = f"""# Faults and bad inputs

What breaks while a run is under way must cost at most the work of the stage that broke; what a user, a file or a
server gives must be read as it says or refused in one line. Each row below is a test that asserts the right outcome.
The page is made by

    python benchmarks/{Path(__file__).name} --write docs/faults.md

Rows that need an extra, another program or data that is not shipped are skipped where it is absent, and counted as
such.
"""


class Collector:
    """A pytest plugin: the outcome of every marked test."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, str, str]] = {}
        self.outcomes: dict[str, str] = {}

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = []
        for item in items:
            for kind in KINDS:
                for marker in item.iter_markers(kind):
                    area, what = marker.args
                    case = getattr(getattr(item, "callspec", None), "id", "")
                    self.rows[item.nodeid] = kind, area, what.replace("{id}", case)
            if item.nodeid in self.rows:
                kept.append(item)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self.rows])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome

    def page(self) -> str:
        """The page: a table of areas, then the rows of each."""
        lines = [HEAD]
        for kind, (title, good) in KINDS.items():
            rows = sorted(
                (area, what, self.outcomes.get(test, "failed"))
                for test, (k, area, what) in self.rows.items()
                if k == kind
            )
            counts = Counter((area, outcome) for area, _, outcome in rows)
            lines += [f"\n## {title}\n", f"| area | tried | {good} | skipped |", "|---|---|---|---|"]
            for area in sorted({area for area, _, _ in rows}):
                tried = counts[area, "passed"] + counts[area, "failed"]
                lines.append(f"| {area} | {tried} | {counts[area, 'passed']} | {counts[area, 'skipped']} |")
            for area in sorted({area for area, _, _ in rows}):
                lines += ["", f"**{area}**", ""]
                same = Counter((what, outcome) for a, what, outcome in rows if a == area)
                for (what, outcome), count in same.items():
                    lines.append(f"- {what}{'' if outcome == 'passed' else f' ({outcome})'}")
                    lines[-1] += "" if count == 1 else f" ({count} cases)"
        return "\n".join(lines) + "\n"


def main() -> int:
    """Run the marked tests; the exit code is pytest's."""
    parser = argparse.ArgumentParser(description="Run the tests of faults and bad inputs.")
    parser.add_argument("--write", metavar="FILE", help="write the page of the docs here")
    options, rest = parser.parse_known_args()
    collector = Collector()
    # As `python -m pytest` has it: processes that a test starts import its module, too.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.path.insert(0, str(ROOT))
    code = int(pytest.main(["-q", "-p", "no:cacheprovider", *rest], plugins=[collector]))
    page = collector.page()
    if options.write:
        (ROOT / options.write).write_text(page, encoding="utf-8")
    else:
        print(page)
    return code


if __name__ == "__main__":
    sys.exit(main())
