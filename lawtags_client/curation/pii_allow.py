"""What looks like personal data in legal questions and is none.

Tags depend on jurisdictions, statutes, courts and the names of cases, so these stay. A judge on the bench
and a party in the name of a published case are no secret either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lawtags_client.curation.columns import normalize_text

JURISDICTIONS = """
Africa, Asia, Europe, North America, South America, Central America, Latin America, Oceania, Antarctica,
Middle East, Scandinavia, Balkans, Caribbean, European Union, Council of Europe, Commonwealth, Schengen,
Benelux, Baltics, Earth, Moon, Mars, Atlantic, Pacific, Arctic, Mediterranean, West, East, North, South,
Northwest Territories, Eastern District, Western District, Northern District, Southern District,
Central District, Middle District, West Coast, East Coast, New England, Midwest, Silicon Valley, Bay Area,
Afghanistan, Albania, Algeria, Argentina, Armenia, Australia, Austria, Bangladesh, Belarus, Belgium, Bolivia,
Bosnia, Brazil, Bulgaria, Cambodia, Canada, Chile, China, Colombia, Croatia, Cuba, Cyprus, Czechia, Denmark,
Ecuador, Egypt, Estonia, Ethiopia, Finland, France, Georgia, Germany, Ghana, Greece, Hong Kong, Hungary,
Iceland, India, Indonesia, Iran, Iraq, Ireland, Israel, Italy, Japan, Jordan, Kenya, Korea, Kuwait, Latvia,
Lebanon, Libya, Lithuania, Luxembourg, Malaysia, Malta, Mexico, Morocco, Nepal, Netherlands, New Zealand,
Nigeria, Norway, Pakistan, Panama, Peru, Philippines, Poland, Portugal, Qatar, Romania, Russia, Saudi Arabia,
Scotland, Serbia, Singapore, Slovakia, Slovenia, South Africa, Spain, Sri Lanka, Sudan, Sweden, Switzerland,
Syria, Taiwan, Thailand, Tunisia, Turkey, Uganda, Ukraine, United Arab Emirates, United Kingdom,
United States, Uruguay, Venezuela, Vietnam, Wales, England, Northern Ireland, Great Britain, Britain, America,
UK, US, USA, EU, UAE, Alabama, Alaska, Arizona, Arkansas, California, Colorado, Connecticut, Delaware,
Florida, Hawaii, Idaho, Illinois, Indiana, Iowa, Kansas, Kentucky, Louisiana, Maine, Maryland, Massachusetts,
Michigan, Minnesota, Mississippi, Missouri, Montana, Nebraska, Nevada, New Hampshire, New Jersey, New Mexico,
New York, North Carolina, North Dakota, Ohio, Oklahoma, Oregon, Pennsylvania, Rhode Island, South Carolina,
South Dakota, Tennessee, Texas, Utah, Vermont, Virginia, Washington, West Virginia, Wisconsin, Wyoming,
Puerto Rico, Guam, Ontario, Quebec, British Columbia, Alberta, Manitoba, Saskatchewan, Nova Scotia,
New Brunswick, Newfoundland, Labrador, Yukon, Nunavut, New South Wales, Victoria, Queensland, Tasmania,
South Australia, Western Australia, Northern Territory, Bavaria, Catalonia, Berlin, London, Paris, Brussels,
Strasbourg, Luxembourg, The Hague, Geneva, Hague, Rome, Berne, Vienna, Nuremberg, Delhi, Mumbai, Sydney,
Melbourne, Toronto, Chicago, Los Angeles, San Francisco, Seattle, Boston, Houston, Dallas, Miami, Detroit,
NYC, LA, DC, Guantanamo, Gitmo
"""

# Names that stand for a rule, a work, a brand or a part of a sentence.
TERMS = """
Miranda, Brady, Daubert, Terry, Giglio, Chevron, Lemon, Roe, Wade, Dobbs, Berne, Lanham, Megan, Jim Crow,
Creative Commons, Apache, Debian, Ubuntu, Linux, Android, Java, JavaScript, Python, Ruby, Github, Gitlab,
Google, Facebook, Instagram, Twitter, YouTube, Netflix, Spotify, Uber, Airbnb, Amazon, Apple, Microsoft,
Wikipedia, Wikimedia, Reddit, Stack Exchange, Stack Overflow, Tesla, Disney, Nintendo, Steam, Minecraft,
Pokemon, Harry Potter, Sherlock Holmes, Mickey Mouse, Star Wars, Star Trek, Shakespeare, Bible, Quran, Torah,
Covid, Covid-19, Coronavirus, Brexit, Bitcoin, Ethereum, Jesus, Christ, God, Santa Claus, Christmas, Easter,
Esq, Plaintiff, Defendant, Appellant, Appellee, Petitioner, Respondent, Licensee, Licensor, Lessee, Lessor,
Landlord, Tenant, Buyer, Seller, Employer, Employee, Contractor, Client, Agency, Company, Congress, Senate,
Parliament, House, Court, Law, Act, Bill, Constitution, Amendment, Regina, Rex, Crown, State, People,
John Doe, Jane Doe, Richard Roe, Doe, Roe, Person A, Person B, Party A, Party B, Mr X, Mrs X, Mr, Mrs, Ms,
Arduino, Raspberry Pi, Kalman, Jacobian, Euler, Newton, Bayes, Gauss, Matlab, Simulink, Gazebo, Roomba,
Denavit, Hartenberg, Denavit-Hartenberg, Lagrange, Lyapunov, Nyquist, Bode, Laplace, Fourier, Markov, Lidar
"""

_NAME = r"[A-ZÀ-ÖØ-Þ][\w'’&.-]*"
_PARTY = (
    rf"(?:the\s+)?{_NAME}"
    rf"(?:[ ,]+(?:{_NAME}|&|of|the|and|for|de|la|von|van|der|ex\s+rel\.?|et\s+al\.?)){{0,7}}"
)
_JOINED = rf"(?:[ ]+(?:{_NAME}|&|of|the|and|for)){{0,5}}"
# Places whose whole text is the name of a case, a court or a statute.
_PROTECTED = (
    re.compile(rf"\b{_PARTY}\s+(?:v|vs)\b\.?\s+(?:the\s+)?{_NAME}{_JOINED}"),
    re.compile(
        rf"\b(?:[Ii]n\s+[Rr]e|[Ee]x\s+[Pp]arte|[Mm]atter\s+of|[Ee]state\s+of)\s+{_NAME}(?:\s+{_NAME}){{0,3}}"
    ),
    # The bench: "Judge Judy", "Chief Justice Roberts", "Lord Denning", "Hoffmann LJ".
    re.compile(
        rf"\b(?:(?:Chief|Associate|Lord|Lady|Mr\.?|Mrs\.?|Ms\.?)\s+)?(?:Judge|Justice|Magistrate|Lord|Lady|Baroness|"
        rf"President|Senator|Chancellor|Pope|King|Queen|Prince|Princess)\s+{_NAME}(?:\s+{_NAME}){{0,2}}"
    ),
    re.compile(rf"\b{_NAME}\s+(?:C?J|L?JJ?|P|MR)\b\.?"),
    # Rules called after someone: "Lanham Act", "Megan's Law", "Miranda rights".
    re.compile(
        rf"\b{_NAME}(?:[ -]{_NAME}){{0,4}}(?:['’]s)?\s+(?:Acts?|Laws?|Codes?|Statutes?|Bills?|Amendments?|"
        rf"Doctrines?|Rules?|Tests?|Clauses?|Treat(?:y|ies)|Conventions?|Directives?|Regulations?|Orders?|"
        rf"Decisions?|Rulings?|Agreements?|Protocol|Charter|Constitution|Standard|Courts?|County|District|University|License|Licence|"
        rf"doctrine|rule|test|clause|rights?|warnings?|hearing|motion|case|decision|ruling|standard|act|"
        rf"filter|matrix|equations?|angles?|algorithm|parameters?|law|method|diagram|plot|criterion|transform)\b"
    ),
    re.compile(
        r"\b(?:[Ss]ections?|[Ss]ec\.|[Aa]rticles?|[Aa]rt\.|[Cc]hapters?|[Rr]ules?|[Tt]itles?|[Pp]arts?|§+)\s*"
        r"(?:\d[\w.()-]*|[IVXLC]+\b)"
    ),
    re.compile(
        rf"\b(?:University|Court|City|County|State|Province|Republic|Kingdom|Bank|Church)\s+of\s+(?:the\s+)?"
        rf"{_NAME}(?:\s+{_NAME}){{0,3}}"
    ),
    # What a first pass has put in the place of personal data.
    re.compile(r"<[A-Z_]+(?::[0-9a-f]+)?>"),
)

# Words that begin a sentence, and verbs, months and roles that are first names as well; a name only beside
# another name.
_AMBIGUOUS_WORDS = """
    what who whom whose why how when where which this that there these those the and but i my me we
    you he she they it if is are was do does did can could would should realistically technically
    obviously thanks edit cir will mark may bill grant sue rob chase art pat drew frank justice
    grace hope faith joy rose dawn april june august summer autumn carol dale glen heath jack jade
    max miles norm pearl ray reed rich rusty sandy skip sky stone victor wade ward young law license
    patent trust case warren christian virgin mercy chance guy
"""
_AMBIGUOUS = frozenset(_AMBIGUOUS_WORDS.split())


class AllowList:
    """Knows which words and places are no personal data.

    Args:
        more: further words and names, e.g. the tags of the data.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        built_in = (JURISDICTIONS + "," + TERMS).replace("\n", " ").split(",")
        self._terms = frozenset(filter(None, (normalize_text(term) for term in (*built_in, *more))))

    def __contains__(self, name: object) -> bool:
        """Whether a name, without its article and possessive, stands on the list."""
        if not isinstance(name, str):
            return False
        words = normalize_text(name).removeprefix("the ").removesuffix(" s")
        # Tags part their words with hyphens; "Section 230" is a law by its form.
        return words in self._terms or words in _AMBIGUOUS

    def protected(self, text: str) -> Iterator[tuple[int, int]]:
        """The stretches of a text that name a case, a court, a statute or a judge."""
        for pattern in _PROTECTED:
            for found in pattern.finditer(text):
                yield found.span()


def is_ambiguous(word: str) -> bool:
    """Whether a word is a first name and an ordinary word."""
    return word.lower() in _AMBIGUOUS
