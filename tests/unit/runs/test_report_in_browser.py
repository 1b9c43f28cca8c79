"""The report as a browser shows it: on a phone, on a desk, in the dark and on paper."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from made_run import HOSTILE, make_run

from lawtags_client.runs import report
from lawtags_client.runs.comparison import compare_runs
from lawtags_client.runs.comparison_page import render_comparison
from lawtags_client.runs.predictions import prediction, write_predictions
from lawtags_client.runs.report import render_report
from lawtags_client.runs.responsive_tables import with_labels

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium is installed; on Debian: apt-get install chromium"
)

PHONE, DESK = 390, 1280
# What a page says of its own layout, where a test can read it.
MEASURE = """<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach(each => { each.open = true; });
  const wide = [...document.querySelectorAll("table, svg, p, h1, h2, section, .question")]
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1
      || each.clientWidth && each.scrollWidth > each.clientWidth + 1)
    .map(each => each.outerHTML.slice(0, 80));
  // Words that are broken to fit: a word of a figure never is.
  const broken = [];
  for (const cell of document.querySelectorAll("td.n, td.n *")) {
    for (const text of cell.childNodes) {
      for (const word of text.nodeType === Node.TEXT_NODE ? text.data.matchAll(/\\S+/g) : []) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (range.getClientRects().length > 1) broken.push(word[0]);
      }
    }
  }
  parent.document.title = JSON.stringify([innerWidth, document.documentElement.scrollWidth, wide, broken]);
});
</script>"""


# The same for a sheet of paper, on which nothing can be scrolled or opened.
MEASURE_PAPER = """<script>
addEventListener("load", () => {
  const shown = each => each.getClientRects().length > 0;
  const all = names => [...document.querySelectorAll(names)].filter(shown);
  const wide = all("table, th, td, svg, p, h2, section")
    .filter(each => each.getBoundingClientRect().right > innerWidth + 1
      || each.clientWidth && each.scrollWidth > each.clientWidth + 1)
    .map(each => each.outerHTML.slice(0, 80));
  const closed = all("details").filter(each => !each.open && !shown(each.lastElementChild))
    .map(each => each.textContent.slice(0, 80));
  const colorless = all(".track i, .range i, .tag")
    .filter(each => getComputedStyle(each).printColorAdjust !== "exact").length;
  const boxed = all("section").filter(each => getComputedStyle(each).borderTopWidth !== "0px").length;
  const light = all("body, td, p, h2, .soft, summary").map(each => getComputedStyle(each).color)
    .filter(color => color.match(/\\d+/g).slice(0, 3).every(part => +part > 150));
  parent.document.title = JSON.stringify([wide, closed, colorless, boxed, light.length,
    all("details").length, all("thead").length]);
});
</script>"""
PAPER = 688  # A4 without its margins, in CSS pixels


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    title = "Is a clause that nobody can read in a lease of a flat in England and Wales void? " * 2
    folder = make_run(tmp_path_factory.mktemp("runs") / "a-run-2026-11-27", title=title)
    return render_report(folder, licenses={"CC BY-SA 4.0": 3}, attribution="Users of a forum")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> str:
    runs, title = (
        tmp_path_factory.mktemp("compared"),
        "Is a clause that nobody can read in a lease void? " * 2,
    )
    names = ("demo", "a-run-with-a-long-name-2026-11-27", "demo-3")
    folders = [make_run(runs / name, title=title) for name in names]
    for folder in folders[1:]:
        rows = [prediction(n, id, ["landlord", HOSTILE][n % 2 :], scores={}) for n, id in enumerate("abc")]
        write_predictions(folder, "tagger", rows)
    return render_comparison(compare_runs(folders), folders)


@pytest.fixture(scope="module")
def labeled() -> str:
    """Tables whose headings are longer than half of a phone, beside short figures and long tags."""
    headings = "".join(
        f'<th class="n">{text}</th>' for text in ("rows of the true tag that were not given", "95 %")
    )
    cells = '<td class="n">12,345.678</td><td class="n">0.651 to 0.723</td>'
    table = f"<table><tr><th>tag</th>{headings}</tr><tr><td>contract-law</td>{cells}</tr></table>"
    style = (Path(report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
    return f"<style>{style}</style><main><section>{with_labels(table)}</section></main>"


def browse(folder: Path, page: str, *options: str, width: int = DESK, height: int = 900) -> str:
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    assert BROWSER is not None
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", *options, path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("kind", ["page", "compared", "labeled"])
def test_nothing_is_wider_than_the_screen(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, width: int
) -> None:
    page = request.getfixturevalue(kind)
    inner, needed, wide, broken = measured(page + MEASURE, tmp_path, width)
    assert inner == width
    assert needed <= width
    assert broken == []
    if width == PHONE:
        assert wide == []


def measured(page: str, folder: Path, width: int) -> list[object]:
    """What a page that measures itself in a frame of a width says."""
    framed = (
        f'<title></title><iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{{}}"></iframe>'
    )
    shown = browse(
        folder, framed.format(html.escape(page)), "--dump-dom", "--virtual-time-budget=5000", width=1400
    )
    found = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    assert found is not None
    told: list[object] = json.loads(html.unescape(found[1]))
    return told


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_nothing_is_cut_closed_or_light(page: str, tmp_path: Path, scheme: str) -> None:
    assert "@media print" in page and "(prefers-color-scheme: dark)" in page
    paper = page.replace("@media print", "@media all")
    if scheme == "dark":
        paper = paper.replace("(prefers-color-scheme: dark)", "all")
    wide, closed, colorless, boxed, light, details, heads = measured(paper + MEASURE_PAPER, tmp_path, PAPER)
    assert (wide, closed, colorless, boxed, light) == ([], [], 0, 0, 0)
    assert isinstance(details, int) and details >= 3
    assert isinstance(heads, int) and heads >= 5


def test_screenshots_and_print_are_not_empty(page: str, tmp_path: Path) -> None:
    sizes = []
    for width in (PHONE, DESK):
        picture = tmp_path / f"{width}.png"
        browse(tmp_path, page, f"--screenshot={picture}", width=width)
        content = picture.read_bytes()
        assert struct.unpack(">II", content[16:24]) == (width, 900)
        sizes.append(len(content))
    paper = tmp_path / "report.pdf"
    browse(tmp_path, page, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF-")
    # An empty page of this size compresses to some 5 kB.
    assert min(sizes) > 20_000
