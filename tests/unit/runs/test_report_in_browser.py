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

from lawtags_client.runs.comparison import compare_runs
from lawtags_client.runs.comparison_page import render_comparison
from lawtags_client.runs.predictions import prediction, write_predictions
from lawtags_client.runs.report import render_report

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
  parent.document.title = JSON.stringify([innerWidth, document.documentElement.scrollWidth, wide]);
});
</script>"""


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
@pytest.mark.parametrize("kind", ["page", "compared"])
def test_nothing_is_wider_than_the_screen(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, width: int
) -> None:
    page = request.getfixturevalue(kind)
    framed = (
        f'<title></title><iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{{}}"></iframe>'
    )
    outer = framed.format(html.escape(page + MEASURE))
    shown = browse(tmp_path, outer, "--dump-dom", "--virtual-time-budget=5000", width=1400)
    found = re.search(r"<title>(.*?)</title>", shown, re.DOTALL)
    assert found is not None
    inner, needed, wide = json.loads(html.unescape(found[1]))
    assert inner == width
    assert needed <= width
    if width == PHONE:
        assert wide == []


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
