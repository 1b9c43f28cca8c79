"""Names in small letters, ranks, and what looks like a name and points at a part of a text."""

from __future__ import annotations

import pytest

from lawtags_client.curation.mask.masker import PiiMasker
from lawtags_client.curation.mask.models import find_model
from lawtags_client.curation.options import ENTITIES, PiiOptions
from lawtags_client.errors import ConfigurationError


@pytest.fixture(scope="module")
def masker() -> PiiMasker:
    try:
        find_model()
    except ConfigurationError as error:
        pytest.skip(str(error))
    return PiiMasker(PiiOptions(entities=ENTITIES))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("my daughter emily rose stole it", "my daughter <PERSON> stole it"),
        ("our tenant victor stone hit my car", "our tenant <PERSON> hit my car"),
        ("my aunt mary young was evicted", "my aunt <PERSON> was evicted"),
        ("his nephew david king, who lives there", "his nephew <PERSON>, who lives there"),
        ("my brother mark never paid", "my brother <PERSON> never paid"),
        ("my wife grace's car was towed", "my wife <PERSON>'s car was towed"),
        ("her husband frank and i signed", "her husband <PERSON> and i signed"),
        ("my cousin billy bob was there", "my cousin <PERSON> was there"),
        ("my brother-in-law pat owns it", "my brother-in-law <PERSON> owns it"),
        ("my brother in law pat owns it", "my brother in law <PERSON> owns it"),
        ("a man named robert hill called", "a man named <PERSON> called"),
        ("my roommate macKinnon moved out", "my roommate <PERSON> moved out"),
        ("my supervisor fitzGerald lied", "my supervisor <PERSON> lied"),
        ("our landlord mcDonald refuses", "our landlord <PERSON> refuses"),
    ],
)
def test_names_that_a_dictionary_lists_are_found_behind_words_of_kinship(
    text: str, masked: str, masker: PiiMasker
) -> None:
    assert masker.mask([text])[0] == [masked]


@pytest.mark.parametrize(
    "text",
    [
        "my brother will pay the rent",
        "my sister may move out",
        "my mother rose from her chair",
        "my wife grace period ended",
        "my friend chase bank account",
        "my father drew up a contract",
        "my tenant bill payments are late",
        "my landlord mark up was illegal",
        "my lawyer case law is old",
        "my son young adult that he is",
        "my child support payments stopped",
        "my ex april payments are due",
        "my client Ford recalled it",
    ],
)
def test_ordinary_words_behind_words_of_kinship_stay(text: str, masker: PiiMasker) -> None:
    assert masker.mask([text])[0] == [text]


@pytest.mark.parametrize(
    "rank",
    [
        "Sgt.", "Staff Sgt.", "Lt. Col.", "Pfc.", "Spc.", "Pvt.", "Adm.", "Brig. Gen.", "Ofc.", "Supt.",
        "Cst.", "Det. Insp.", "Lt. Gov.", "Maj.", "Ens.", "Officer", "Trooper",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["O'Hara", "D’Arcy", "N'Dour"])
def test_a_rank_stays_and_the_name_behind_it_goes_whole(rank: str, name: str, masker: PiiMasker) -> None:
    assert masker.mask([f"{rank} {name} wrote the report."])[0] == [f"{rank} <PERSON> wrote the report."]


@pytest.mark.parametrize(
    "text",
    [
        "See Figs. 4 and 5, Eqs. (3) and (4), and Tab. B.",
        "Sec. 5, Sect. 7 and Subsec. 2 of the act",
        "Paras. 4-5 and Cl. 4.2 of the lease, Sched. 2",
        "Exh. 12-A, App. B and Annex IV are missing.",
        "Thm. 4, Lem. 2, Prop. 3, Def. 5 and Alg. 1 show it",
        "Fed. R. Civ. P. 12, Am. Jur. 2d, Tit. 17",
        "Abs. 3 Satz 2, Rn. 12, Ziff. 4",
        "Fig. 4 Servo Drive current, Table 3 Main Drive",
        "see Sec. 5.2.1.3 and Fig. 4.2.1.3",
        "Mass. Gen. Laws, Infosys Pvt. Ltd. and Adm. Code 12",
    ],
)
def test_references_and_abbreviations_are_no_personal_data(text: str, masker: PiiMasker) -> None:
    assert masker.mask([text])[0] == [text]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("I asked Art V. Lindqvist about it.", "I asked <PERSON> about it."),
        ("Did Reg A. Hollowell sign?", "Did <PERSON> sign?"),
        ("See Art Lindqvist, Fig. 4.", "See <PERSON>, Fig. 4."),
    ],
)
def test_initials_are_no_labels(text: str, masked: str, masker: PiiMasker) -> None:
    assert masker.mask([text])[0] == [masked]
