"""What a study leaves: a table in Markdown, and a figure."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown, with a line break at its end."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write_report(folder: Path, tables: Sequence[str], figure: Figure) -> None:
    """Writes ``table.md`` and ``figure.png`` and prints the tables and where they are."""
    text = "\n".join(tables)
    (folder / "table.md").write_text(text)
    figure.savefig(folder / "figure.png", dpi=120)
    print(f"\n{text}")
    for what, name in (("results", "results.json"), ("table", "table.md"), ("figure", "figure.png")):
        print(f"{what + ':':9}{folder / name}")
