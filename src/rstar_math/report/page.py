"""`report.html`: one file with plots and tables, which needs no network; and the writing of both report files."""

from __future__ import annotations

from html import escape
from pathlib import Path

from rstar_math.report.plots import report_plots
from rstar_math.report.schema import Report, save_report
from rstar_math.report.table import to_html
from rstar_math.report.tables import report_lines, report_tables
from rstar_math.store.files import write_text

_STYLE = """
:root { color-scheme: light dark; --ink: #24292f; --quiet: #656d76; --line: #d0d7de; --ground: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #d6dbe1; --quiet: #9198a1; --line: #3d444d; --ground: #14181d; }
}
body { margin: 2.5rem auto; max-width: 60rem; padding: 0 1.25rem; color: var(--ink); background: var(--ground);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2.25rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0; font-size: .9rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1.25rem 0 2rem; overflow-x: auto; }
figure svg { display: block; min-width: 40rem; max-width: 100%; height: auto; }
figcaption { position: sticky; left: 0; }
figcaption, caption { text-align: left; font-weight: 600; padding: 0 0 .4rem; }
.table { overflow-x: auto; margin-top: 1.75rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .18rem .7rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid var(--line); }
th[colspan] { text-align: center; border-bottom: 0; color: var(--quiet); font-weight: 400; }
.text { text-align: left; }
tr.end td { border-bottom: 1px solid var(--line); }
.note, .lines { color: var(--quiet); font-size: .85rem; margin: .35rem 0 0; }
code { font: .9em ui-monospace, monospace; }
"""


def write_report(run_dir: Path, report: Report) -> None:
    """Writes `report.json` and `report.html` into a run's folder, each whole or not at all."""
    save_report(run_dir / "report.json", report)
    write_text(run_dir / "report.html", report_page(report))


def report_page(report: Report) -> str:
    """The page as HTML text; everything that comes from the report is escaped."""
    figures = [
        f"<figure><figcaption>{escape(caption)}</figcaption>\n{svg}</figure>\n" for caption, svg in report_plots(report)
    ]
    tables = [to_html(table) for table in report_tables(report)]
    lines = [f"<p class=lines>{escape(line)}</p>\n" for line in report_lines(report)]
    title = f"rStar-Math: {report.recipe}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{_caption(report)}"
        f"{''.join(figures)}<h2>Tables</h2>\n{''.join(tables)}{''.join(lines)}</body>\n</html>\n"
    )


def _caption(report: Report) -> str:
    facts = [("Rounds", str(len(report.rounds))), ("Seed", str(report.seed))]
    if report.command:
        facts.insert(0, ("Command", report.command))
    facts += [
        (use.replace("_", " ").capitalize(), f"{s.num_problems:,} problems of {s.name} ({s.sha256})")
        for use, s in report.problem_sets.items()
    ]
    if report.hardware:
        facts.append(("Hardware", report.hardware))
    if report.versions:
        facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())))
    if report.created:
        facts.append(("Made", report.created))
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts) + "</dl>\n"
