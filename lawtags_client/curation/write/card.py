"""The data card: ``curation.json`` as a page, or as a section of another page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import cast

from lawtags_client.curation.records import CurationCard, LengthDistribution
from lawtags_client.curation.report import PARTS
from lawtags_client.errors import MissingExtraError
from lawtags_client.files import atomic_write_bytes
from lawtags_client.terminal import escape_controls

PAGE = "curation.html"

_SHOWN_TAGS = 25
_SHOWN_ROWS = 20
_WIDE, _HIGH = 560, 120
# Descriptions of the steps.
_SAYS = {
    "read": "usable rows",
    "forget": "questions with a request for deletion",
    "complete_labels": "no tags, or only some of them",
    "tag_synonyms": "synonyms to tags",
    "tag_corrections": "reviewed corrections of tags",
    "html": "markup to plain text",
    "unicode": "repairs wrongly decoded text",
    "cleaning": "whitespace, invisible characters, moderator notices",
    "pii": "names, places, addresses and numbers of people",
    "section_numbers": "normalized citations",
    "word_count": "short bodies",
    "votes": "net votes",
    "repeated_ngrams": "one phrase over and over",
    "has_answer": "questions without an answer",
    "exact_duplicates": "the same words",
    "near_duplicates": "nearly the same words",
    "test_overlap": "questions of the test file",
    "rare_tags": "tags on few questions",
    "split": "training, validation, testing",
    "leakage": "questions of a later part",
    "prompts": "rows for the Customizer",
}
_COUNTED = {
    "exact_duplicates": "questions with the same words, dropped",
    "near_duplicates": "questions with nearly the same words, dropped",
    "other_tags": "of these with different tags than the question that stays",
    "straddling_groups": "groups of duplicates in training and in another part",
    "would_have_leaked": "rows that duplicates would have leaked from one part into another",
    "test_overlap": "questions that are also in the test file, dropped",
    "leakage": "questions that are also in a later part, dropped",
    "same_id": "ids with several different questions",
}


def card_section(card: Mapping[str, object]) -> str:
    """A data card as an HTML section with its own style.

    Args:
        card: what ``curation.json`` holds.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    return _render("card.html", card)


def card_page(card: Mapping[str, object]) -> str:
    """A data card as a self-contained HTML page.

    Args:
        card: what ``curation.json`` holds.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    return _render("page.html", card)


def write_card(folder: Path, card: Mapping[str, object]) -> None:
    """Write the page of a curated folder.

    Args:
        folder: the folder.
        card: what its ``curation.json`` holds.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    atomic_write_bytes(folder / PAGE, card_page(card).encode())


def _render(template: str, card: Mapping[str, object]) -> str:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("jinja2", "curate", "the data card") from error
    environment = Environment(
        loader=PackageLoader("lawtags_client.curation.write"),
        autoescape=True,
        undefined=StrictUndefined,
        # A page shown in a terminal must not contain control sequences.
        finalize=lambda value: escape_controls(value, lines=True) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(_view(cast(CurationCard, card)))


def _view(card: CurationCard) -> dict[str, object]:
    # Cards of earlier versions lack some fields.
    labels, prompts = card.get("labels", {}), card.get("prompts", {})
    return {
        "splits": card.get("splits", {}),
        "read": card["steps"][0]["rows_in"] if card["steps"] else 0,
        "masked": sum(card.get("pii", {}).get("counts", {}).values()),
        "steps": _steps(card),
        "tags": _tags(labels.get("parts", {})),
        "labels": {
            "rare": _first(_ranked(labels.get("rare") or {})),
            "unseen": _first(_ranked(labels.get("unseen") or {})),
            "respelled": _first(labels.get("respelled") or []),
            "proposals": _first(labels.get("proposals") or []),
        },
        "synonyms": labels.get("synonyms"),
        "lengths": [
            _bars("Tokens per row, prompt and answer", prompts.get("row_tokens")),
            _bars("Words per question", prompts.get("question_words")),
        ],
        "prompts": prompts,
        "pii": {"counts": {}, "action": "", "model": None, **card.get("pii", {})},
        "duplicates": [
            (says, card["duplicates"][name])
            for name, says in _COUNTED.items()
            if name in card.get("duplicates", {})
        ],
        "same_ids": card.get("same_ids", []),
        "notes": card.get("notes", []),
        "forgotten": card.get("forgotten", []),
        "inputs": card.get("inputs", []),
        "outputs": card.get("outputs", {}),
        "versions": card.get("versions", {}),
        "digest": card.get("digest", ""),
        "seed": card.get("seed"),
        "options": sorted(_flat(card.get("options", {}))),
    }


def _steps(card: CurationCard) -> list[dict[str, object]]:
    examples = card.get("examples", {})
    most = max((step["rows_in"] for step in card["steps"]), default=0)
    shown = []
    for step in card["steps"]:
        name = step["name"]
        shown.append(
            {
                "name": name,
                "says": _SAYS.get(name, ""),
                "rows_in": step["rows_in"],
                "rows_out": step["rows_out"],
                "seconds": step["seconds"],
                "note": step.get("note"),
                "kept": 100 * step["rows_out"] / most if most else 0,
                "lost": 100 * (step["rows_in"] - step["rows_out"]) / most if most else 0,
                "reasons": sorted(
                    card.get("rejected", {}).get(name, {}).items(), key=lambda pair: (-pair[1], pair[0])
                ),
                "changed": [
                    {**row, "pieces": _pieces(row["before"], row["after"])}
                    for row in examples.get("changed", {}).get(name, [])
                ],
                "dropped": examples.get("dropped", {}).get(name, []),
            }
        )
    return shown


def _pieces(before: str | None, after: str) -> list[tuple[str, str]]:
    """A change as pieces of text, each kept, deleted or inserted."""
    if before is None:
        return [("kept", after)]
    pieces: list[tuple[str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("kept", after[c:d]))
            continue
        pieces += [("taken", before[a:b])] if b > a else []
        pieces += [("put", after[c:d])] if d > c else []
    return [(kind, _visible(text) if kind != "kept" else text) for kind, text in pieces]


def _visible(text: str) -> str:
    # Whitespace alone would be invisible.
    return text.replace("\n", "⏎") if text.strip() else text.replace("\n", "⏎").replace(" ", "␣")


def _tags(parts: Mapping[str, Mapping[str, int]]) -> dict[str, object]:
    totals = {tag: sum(found.values()) for tag, found in parts.items()}
    ranked = sorted(totals, key=lambda tag: (-totals[tag], tag))
    most = totals[ranked[0]] if ranked else 1
    return {
        "number": len(ranked),
        "once": sum(1 for total in totals.values() if total == 1),
        "more": max(0, len(ranked) - _SHOWN_TAGS),
        "bars": [
            {
                "tag": tag,
                "rows": totals[tag],
                "parts": [(part, 100 * parts[tag].get(part, 0) / most) for part in PARTS],
            }
            for tag in ranked[:_SHOWN_TAGS]
        ],
    }


def _bars(title: str, found: LengthDistribution | None) -> dict[str, object] | None:
    """A distribution as the bars of a chart."""
    if not found:
        return None
    rows = found["rows_by_step"]
    most, wide = max(rows), _WIDE / len(rows)
    bars = [
        {
            "x": round(place * wide, 2),
            "y": round(_HIGH - _HIGH * count / most, 2),
            "width": round(wide - 1, 2),
            "height": round(_HIGH * count / most, 2),
            "says": _range(place, found["step"], len(rows), found["most"]) + f": {count:,} rows",
        }
        for place, count in enumerate(rows)
    ]
    every = max(1, len(rows) // 6)
    marks = [(round(place * wide, 2), place * found["step"]) for place in range(0, len(rows), every)]
    return {"title": title, "bars": bars, "marks": marks, "wide": _WIDE, "high": _HIGH, **found}


def _range(place: int, step: int, bars: int, most: int) -> str:
    low, high = place * step, (place + 1) * step - 1
    if place == bars - 1:
        high = max(high, most)
    return f"{low} to {high}" if high > low else f"{low}"


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _first(found: Sequence[object]) -> dict[str, object]:
    return {"number": len(found), "rows": list(found[:_SHOWN_ROWS])}


def _flat(options: Mapping[str, object], before: str = "") -> list[tuple[str, str]]:
    """Options by their dotted names."""
    found: list[tuple[str, str]] = []
    for name, value in options.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{before}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            found.append((f"{before}{name}", "–" if shown in (None, "", {}) else str(shown)))
    return found
