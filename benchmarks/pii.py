"""Compares PII detection with NeMo Curator 0.9's, on labeled sentences.

    python benchmarks/pii.py
    python benchmarks/pii.py --half odd --wrong
    python benchmarks/pii.py --model en_core_web_lg --out pii.json
    python benchmarks/pii.py --shapes --half odd

Both search for the same entity types with the same spaCy model (Curator's own, en_core_web_lg, is not
available from a package index), one sentence at a time. ``PiiModifier`` passes every text to
``PiiDeidentifier``, which is what runs here, with an action that keeps character positions.

A predicted span is correct if it overlaps a labeled span of its type, and a labeled span is found if a
predicted span of its type overlaps it. Predicted spans of one type separated only by whitespace and
punctuation count as one, since Curator finds an address word by word. Overlap does not measure how much was
found, so the figures include the share of letters and digits in labeled spans that no predicted span covers
(of any type), and the share of all others that one covers.

Neither system searches for IP addresses by default; their line comes from a second run, and is not part of
the total.

``--shapes`` scores this masker alone on the second file, by kind. There, *whole* is the share of labeled
spans that are found exactly, and *false* the share of sentences without personal data in which something is
masked. For citations, *right* is the share of sentences that the citation step handles correctly.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lawtags_client.curation.clean.citations import format_citations
from lawtags_client.curation.mask.masker import PiiMasker
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import DEFAULT_ENTITIES, ENTITIES, PiiOptions
from lawtags_client.files import atomic_write_json

DATA = Path(__file__).parent / "data" / "pii.jsonl"
SHAPES = Path(__file__).parent / "data" / "pii-shapes.jsonl"
APART = ("IP_ADDRESS",)
HALVES = ("odd", "even", "all")

Span = tuple[int, int, str]


@dataclass(frozen=True)
class Sentence:
    """A labeled sentence."""

    id: str
    text: str
    spans: tuple[Span, ...]
    trap: str
    formatted: str | None = None

    @property
    def half(self) -> str:
        return "odd" if int(self.id.rpartition("-")[2]) % 2 else "even"


@dataclass
class Tally:
    """Counts of spans by type, and of letters and digits."""

    labelled: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)

    def add(self, sentence: Sentence, spans: Sequence[Span], types: Sequence[str]) -> bool:
        """Count one sentence, and return whether it has no errors."""
        true = [span for span in sentence.spans if span[2] in types]
        spans = [span for span in spans if span[2] in types]
        found = [span for span in true if any(_same(span, other) for other in spans)]
        right = [span for span in spans if any(_same(span, other) for other in true)]
        for counter, of in (
            (self.labelled, true), (self.found, found), (self.said, spans), (self.right, right),
        ):  # fmt: skip
            counter.update(span[2] for span in of)
        ignored = [span for span in sentence.spans if span[2] not in types]
        for place, sign in enumerate(sentence.text):
            if sign.isalnum() and not _covered(place, ignored):
                kind = "personal" if _covered(place, true) else "other"
                self.signs[kind] += 1
                self.signs[f"{kind} covered"] += _covered(place, spans)
        return len(found) == len(true) and len(right) == len(spans)

    def rates(self, types: Sequence[str]) -> dict[str, float | int | None]:
        """Precision, recall and F1 over some types; None if undefined."""
        labelled, found, said, right = (
            sum(counter[kind] for kind in types)
            for counter in (self.labelled, self.found, self.said, self.right)
        )
        precision = right / said if said else None
        recall = found / labelled if labelled else None
        # F1 is zero if nothing was found, whatever the precision.
        both = (precision or 0.0) + (recall or 0.0)
        f1 = 2 * (precision or 0.0) * (recall or 0.0) / both if both else 0.0
        return {"spans": labelled, "said": said, "precision": precision, "recall": recall, "f1": f1}

    def letters(self) -> dict[str, float]:
        """The share of personal letters and digits not masked, and of others masked."""
        return {
            "left": 1 - self.signs["personal covered"] / max(1, self.signs["personal"]),
            "taken": self.signs["other covered"] / max(1, self.signs["other"]),
        }


def read_sentences(path: Path) -> list[Sentence]:
    """Read a labeled file."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Sentence(
            row["id"],
            row["text"],
            tuple((span["start"], span["end"], span["type"]) for span in row["spans"]),
            row["trap"],
            row.get("formatted"),
        )
        for row in rows
    ]


def find_here(texts: Sequence[str], model: str, entities: Sequence[str]) -> list[list[Span]]:
    """The spans that this project's masker finds."""
    masker = PiiMasker(PiiOptions(entities=tuple(entities), model=model))
    return [[(f.start, f.end, f.entity) for f in findings] for findings in masker.find(texts)]


def find_by_curator(texts: Sequence[str], model: str, entities: Sequence[str]) -> list[list[Span]]:
    """The spans that NeMo Curator 0.9 replaces, with a different spaCy model."""
    import tldextract.tldextract
    from nemo_curator.pii import algorithm
    from presidio_anonymizer.entities import OperatorConfig  # type: ignore[import-untyped]

    class Engine(algorithm.CustomNlpEngine):  # type: ignore[misc]
        def __init__(self, ner_model_configuration: Any) -> None:
            super().__init__([{"lang_code": "en", "model_name": model}], ner_model_configuration)

        @staticmethod
        def _download_spacy_model_if_needed(model_name: str) -> None:
            """Do nothing: the model is loaded from its path."""

    # Its list of domain suffixes would be downloaded at the first email address; it includes a snapshot.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    original, algorithm.CustomNlpEngine = algorithm.CustomNlpEngine, Engine
    try:
        deidentifier = algorithm.PiiDeidentifier("en", list(entities), "replace")
    finally:
        algorithm.CustomNlpEngine = original
    # A replacement of the same length keeps positions; presidio resolves overlapping spans.
    same_length = {"DEFAULT": OperatorConfig("custom", {"lambda": lambda text: "*" * len(text)})}
    results = deidentifier.analyze_text_batch(list(texts))
    replaced = [
        deidentifier.anonymizer.anonymize(text, found, operators=same_length)
        for text, found in zip(texts, results, strict=True)
    ]
    return [[(item.start, item.end, item.entity_type) for item in result.items] for result in replaced]


def merge(text: str, spans: Sequence[Span]) -> list[Span]:
    """Join spans of one type that only whitespace and punctuation separate."""
    merged: list[Span] = []
    for start, end, kind in sorted(spans):
        if (
            merged
            and merged[-1][2] == kind
            and not any(sign.isalnum() for sign in text[merged[-1][1] : start])
        ):
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]), kind)
        else:
            merged.append((start, end, kind))
    return merged


def tally(sentences: Sequence[Sentence], found: Sequence[Sequence[Span]], types: Sequence[str]) -> Tally:
    """Count all sentences."""
    counts = Tally()
    for sentence, spans in zip(sentences, found, strict=True):
        counts.add(sentence, merge(sentence.text, spans), types)
    return counts


def compare(sentences: Sequence[Sentence], model: str) -> dict[str, Any]:
    """The figures of both systems, by half and type."""
    texts = [sentence.text for sentence in sentences]
    report: dict[str, Any] = {half: {} for half in HALVES}
    for system, find in (("NeMo Curator 0.9", find_by_curator), ("lawtags", find_here)):
        plain, with_ips = find(texts, model, DEFAULT_ENTITIES), find(texts, model, ENTITIES)
        for half in HALVES:
            chosen = [place for place, one in enumerate(sentences) if half in ("all", one.half)]
            here = [sentences[place] for place in chosen]
            counts = tally(here, [plain[place] for place in chosen], DEFAULT_ENTITIES)
            apart = tally(here, [with_ips[place] for place in chosen], APART)
            report[half][system] = {
                "sentences": len(here),
                "types": {kind: counts.rates((kind,)) for kind in DEFAULT_ENTITIES},
                "sum": counts.rates(DEFAULT_ENTITIES),
                "apart": {kind: apart.rates((kind,)) for kind in APART},
                "letters": counts.letters(),
            }
    return report


def table(figures: dict[str, Any]) -> str:
    """One half as a Markdown table."""
    systems = list(figures)
    lines = [
        "| type | spans | " + " | ".join(f"{name}: P | R | F1" for name in systems) + " |",
        "| --- | ---: |" + " ---: | ---: | ---: |" * len(systems),
    ]
    first = figures[systems[0]]
    for group, kinds in (("types", list(first["types"])), ("sum", [""]), ("apart", list(first["apart"]))):
        for kind in kinds:
            rates = [figures[name][group][kind] if kind else figures[name][group] for name in systems]
            cells = [_percent(rate[key]) for rate in rates for key in ("precision", "recall", "f1")]
            lines.append(f"| {kind or '**sum**'} | {rates[0]['spans']} | " + " | ".join(cells) + " |")
    for key, said in (("left", "personal letters left"), ("taken", "other letters taken")):
        shares = " | ".join(f"{figures[name]['letters'][key]:.1%} | | " for name in systems)
        lines.append(f"| {said} | | {shares} |")
    return "\n".join(lines)


def is_whole(sentence: Sentence, span: Span, found: Sequence[Span]) -> bool:
    """Whether a labeled span is found exactly."""
    start, end, _ = span
    near = [one for one in found if one[0] < end and start < one[1]]
    first, last = min([start, *(one[0] for one in near)]), max([end, *(one[1] for one in near)])
    return all(
        _covered(place, near) == (start <= place < end)
        for place in range(first, last)
        if sentence.text[place].isalnum()
    )


def rate_kinds(sentences: Sequence[Sentence], found: Sequence[Sequence[Span]]) -> dict[str, dict[str, Any]]:
    """The figures of this masker, by kind of sentence and in total."""
    kinds = list(dict.fromkeys(sentence.trap for sentence in sentences))
    figures = {}
    for kind in (*kinds, "sum"):
        pairs = [
            (one, merge(one.text, spans))
            for one, spans in zip(sentences, found, strict=True)
            if kind in (one.trap, "sum")
        ]
        counts = tally([one for one, _ in pairs], [spans for _, spans in pairs], DEFAULT_ENTITIES)
        whole = [is_whole(one, span, spans) for one, spans in pairs for span in one.spans]
        false = [bool(spans) for one, spans in pairs if not one.spans]
        right = [format_citations(one.text) == one.formatted for one, _ in pairs if one.formatted]
        figures[kind] = {
            "sentences": len(pairs),
            **counts.rates(DEFAULT_ENTITIES),
            "whole": _share(whole),
            "false": _share(false),
            "right": _share(right),
        }
    return figures


def kinds_table(figures: dict[str, dict[str, Any]]) -> str:
    """Figures by kind as a Markdown table."""
    lines = [
        "| kind | sentences | spans | P | R | whole | false | citations right |",
        "| --- |" + " ---: |" * 7,
    ]
    for kind, rates in figures.items():
        shares = [_percent(rates[key]) for key in ("precision", "recall", "whole", "false", "right")]
        lines.append(f"| {kind} | {rates['sentences']} | {rates['spans']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def print_wrong(sentences: Sequence[Sentence], model: str) -> None:
    """Print what this masker missed or found wrongly."""
    for sentence, spans in zip(
        sentences, find_here([sentence.text for sentence in sentences], model, DEFAULT_ENTITIES), strict=True
    ):
        spans = merge(sentence.text, spans)
        whole = all(is_whole(sentence, span, spans) for span in sentence.spans if span[2] in DEFAULT_ENTITIES)
        right = sentence.formatted in (None, format_citations(sentence.text))
        if not (Tally().add(sentence, spans, DEFAULT_ENTITIES) and whole and right):
            print(f"{sentence.id} [{sentence.trap}] {sentence.text}")
            for start, end, kind in spans:
                print(f"    {kind}: {sentence.text[start:end]}")
            if not right:
                print(f"    becomes: {format_citations(sentence.text)}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="another labeled file")
    parser.add_argument(
        "--model", help="a spaCy model by package name or path; default: the best one installed"
    )
    parser.add_argument("--half", choices=HALVES, default="all", help="of --wrong and --shapes")
    parser.add_argument(
        "--wrong", action="store_true", help="list this masker's mistakes instead of comparing"
    )
    parser.add_argument(
        "--shapes", action="store_true", help="score this masker alone on the second file, by kind"
    )
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    sentences = read_sentences(chosen.data or (SHAPES if chosen.shapes else DATA))
    model, name = find_model(chosen.model)
    here = [one for one in sentences if chosen.half in ("all", one.half)]
    if chosen.wrong:
        print_wrong(here, model)
        return 0
    if chosen.shapes:
        found = find_here([one.text for one in here], model, DEFAULT_ENTITIES)
        figures = rate_kinds(here, found)
        print(f"spaCy model: {name}\n\n{chosen.half}\n\n{kinds_table(figures)}")
        if chosen.out:
            atomic_write_json(chosen.out, {"model": name, "half": chosen.half, "kinds": figures})
        return 0
    report = compare(sentences, model)
    print(f"spaCy model: {name}")
    for half in HALVES:
        print(f"\n{half} ({report[half]['lawtags']['sentences']} sentences)\n\n{table(report[half])}")
    if chosen.out:
        atomic_write_json(chosen.out, {"model": name, **report})
    return 0


def _same(one: Span, other: Span) -> bool:
    return one[2] == other[2] and one[0] < other[1] and other[0] < one[1]


def _covered(place: int, spans: Sequence[Span]) -> bool:
    return any(start <= place < end for start, end, _ in spans)


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"


if __name__ == "__main__":
    sys.exit(main())
