"""Lists of words that masking reads are whole, and the chosen domains decide which of them count."""

from __future__ import annotations

from importlib import resources

import pytest

from lawtags_client.curation import mask
from lawtags_client.curation.mask.allowed import AllowList
from lawtags_client.curation.mask.word_lists import domain_words, read_words
from lawtags_client.curation.options import DEFAULT_DOMAINS, DOMAINS, CurationOptions
from lawtags_client.errors import ConfigurationError

FILES = {
    f"{folder.name}/{file.name}": file
    for folder in resources.files(mask).joinpath("words").iterdir()
    for file in folder.iterdir()
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_list_says_what_it_is_and_names_each_word_once(name: str) -> None:
    assert name.endswith(".txt")
    text = FILES[name].read_text(encoding="utf-8")
    words = read_words(name.removesuffix(".txt"))
    assert text.startswith("# ") and text.endswith("\n")
    assert words and len(set(words)) == len(words)
    assert all(word == " ".join(word.split()) for word in words)


def test_the_domains_are_the_folders_that_are_no_language() -> None:
    assert sorted({name.partition("/")[0] for name in FILES} - {"cues", "english"}) == sorted(DOMAINS)
    assert "Arduino" in domain_words(["robotics"], "terms") and not domain_words(["robotics"], "places")


@pytest.mark.parametrize("name", ["Kalman", "Raspberry Pi", "Denavit-Hartenberg"])
def test_names_of_robotics_are_let_through_in_that_domain_alone(name: str) -> None:
    assert name not in AllowList()
    assert name in AllowList(domains=["robotics"])
    assert name in AllowList([name])


def test_what_is_called_after_someone_depends_on_the_domain() -> None:
    text = "Whoever knows the Okafor filter may break the Okafor Act."

    def found(*domains: str) -> list[str]:
        return [text[start:end] for start, end in AllowList(domains=domains).protected(text)]

    assert found(*DEFAULT_DOMAINS) == ["Okafor Act"]
    assert found("robotics") == ["Okafor filter"]
    assert sorted(found(*DOMAINS)) == ["Okafor Act", "Okafor filter"]


def test_domains_come_from_a_recipe_and_an_unknown_one_is_named() -> None:
    options = CurationOptions.from_dict({"pii": {"domains": ["robotics", "general"]}})
    assert options.pii.domains == ("robotics", "general")
    assert options.as_dict()["pii"]["domains"] == ["general", "robotics"]
    with pytest.raises(ConfigurationError, match=r"pii\.domains cannot be medical") as caught:
        CurationOptions.from_dict({"pii": {"domains": ["legal", "medical"]}})
    assert "general, legal, robotics" in (caught.value.hint or "")
