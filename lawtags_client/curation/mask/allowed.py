"""What looks like personal data in legal questions and is none.

Tags depend on jurisdictions, statutes, courts and the names of cases, so these stay. A judge on the bench
and a party in the name of a published case are no secret either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lawtags_client.curation.mask.companies import find_companies
from lawtags_client.curation.mask.english_words import FUNCTION_WORDS
from lawtags_client.curation.read.columns import normalize_text

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
Pokemon, Harry Potter, Sherlock Holmes, Mickey Mouse, Donald Duck, Homer Simpson, Bugs Bunny, Darth Vader,
Luke Skywalker, Indiana Jones, Lara Croft, Star Wars, Star Trek, Shakespeare, Bible, Quran, Torah,
Covid, Covid-19, Coronavirus, Brexit, Bitcoin, Ethereum, Jesus, Christ, God, Santa Claus, Christmas, Easter,
Esq, Plaintiff, Defendant, Appellant, Appellee, Petitioner, Respondent, Licensee, Licensor, Lessee, Lessor,
Landlord, Tenant, Buyer, Seller, Employer, Employee, Contractor, Client, Agency, Company, Congress, Senate,
Parliament, House, Court, Law, Act, Constitution, Amendment, Regina, Rex, Crown, State, People,
John Doe, Jane Doe, Richard Roe, Doe, Roe, Person A, Person B, Party A, Party B, Mr X, Mrs X, Mr, Mrs, Ms,
Arduino, Raspberry Pi, Kalman, Jacobian, Euler, Newton, Bayes, Gauss, Matlab, Simulink, Gazebo, Roomba,
Denavit, Hartenberg, Denavit-Hartenberg, Lagrange, Lyapunov, Nyquist, Bode, Laplace, Fourier, Markov, Lidar
"""

# Judges, leading cases and thinkers that lawyers call by one name. Names that many private people bear are
# left out: a person that stays is worse than an authority that goes.
AUTHORITIES = """
Scalia, Ginsburg, RBG, Sotomayor, Kagan, Gorsuch, Kavanaugh, Alito, Rehnquist, Brennan, Breyer, Souter,
Blackmun, Frankfurter, Brandeis, Cardozo, Learned Hand, Taney, Posner, Denning, Bingham, Sumption,
Blackstone, Erie, Palsgraf, Marbury, Mapp, Obergefell, Bruen, Griswold, Lochner, Korematsu, Plessy, Citizens
United, Skidmore, Auer, Batson, Alford, Bivens, Monell, Twombly, Iqbal, Celotex, Frye, Noerr, Howey,
Baxendale, Donoghue, Carlill, Rylands, Wednesbury, Hedley Byrne, Caparo, Quistclose, Mareva, Anton Piller,
Norwich Pharmacal, Calderbank, Factortame, Schrems, Bosman, Faragher, Ellerth, Sarbanes, Oxley, Marsy, Kant,
Bentham, Hobbes, Locke, Rousseau, Montesquieu, Grotius, Aristotle, Plato, Socrates, Cicero, Hammurabi,
Justinian, Rawls, Kelsen, Dworkin, Machiavelli, Marx, Hegel, Nietzsche, Faust, Orwell, Lincoln, Trump,
Donald Trump, Biden, Joe Biden, Obama, Barack Obama, Bill Clinton, Hillary Clinton, Nixon, Richard Nixon,
Reagan, Roosevelt, Eisenhower, Truman, Putin, Vladimir Putin, Hitler, Adolf Hitler, Stalin, Napoleon,
Churchill, Thatcher, Boris Johnson, Merkel, Angela Merkel, Macron, Trudeau, Snowden, Edward Snowden,
Assange, Julian Assange, Elon Musk, Musk, Zuckerberg, Mark Zuckerberg, Bezos, Jeff Bezos, Bill Gates, Steve
Jobs, Ponzi, Madoff, Allah, Buddha, Satan, Batman, Superman, Spiderman, Gandalf, Mickey, Pikachu, Uncle Sam,
Robin Hood, Hamlet, Frankenstein, Dracula, Martin Luther King, Luther King, Ada Lovelace
"""

# Companies, products and software that models of names take for people.
BRANDS = """
Docker, Kubernetes, Django, React, Angular, Node, Rust, Kotlin, Swift, Perl, Fortran, Jupyter, Jenkins,
Ansible, Vagrant, Mozilla, Firefox, Chrome, Safari, Opera, Tor, Windows, Excel, Outlook, Oracle, Adobe,
Nvidia, Intel, Samsung, Sony, Nokia, Huawei, Xiaomi, Lenovo, Nikon, Kodak, Siemens, Bosch, Philips, Bayer,
Pfizer, Moderna, Johnson & Johnson, Ford, Chrysler, Toyota, Honda, Nissan, Mazda, Volkswagen, Porsche,
Ferrari, Daimler, Chevrolet, Harley Davidson, Walmart, Costco, Target, Macy, Nordstrom, Ikea, Lidl, Aldi,
Tesco, Sainsbury, Marks & Spencer, McDonald, Starbucks, Nestle, Pepsi, Coca Cola, Wells Fargo, Chase, JP
Morgan, Morgan Stanley, Goldman Sachs, Merrill Lynch, Charles Schwab, Barclays, Lloyds, Santander, Visa,
Mastercard, Paypal, Venmo, Zelle, Stripe, Klarna, Equifax, Experian, Verizon, Comcast, Vodafone, Sprint,
Lyft, Doordash, Zillow, Craigslist, Etsy, Ebay, Kickstarter, Patreon, Twitch, Discord, Telegram, Whatsapp,
Signal, Tiktok, Snapchat, Linkedin, Tinder, Zoom, Siri, Cortana, Chatgpt, Openai, Winchester, Smith &
Wesson, Glock, Taser, Lego, Barbie, Marvel, Hasbro, Mattel, Pixar, Simpsons, Dungeons, Deere
"""

# Kin and offices written with a capital, and German words of law that look like names in an English text.
ROLES = """
Dad, Mom, Mum, Mommy, Daddy, Mother, Father, Grandma, Grandpa, Grandmother, Grandfather, Granny, Nana,
Auntie, Aunt, Uncle, Brother, Sister, Husband, Wife, Stepmom, Stepdad, Baby, Sis, Bro, Sheriff, Coroner,
Registrar, Executor, Executrix, Testator, Trustee, Trustees, Beneficiary, Beneficiaries, Guarantor, Obligor,
Obligee, Notary, Bailiff, Clerk, Counsel, Attorney, Solicitor, Barrister, Lawyer, Prosecutor, Magistrate,
Juror, Officer, Police, Governor, Mayor, Controller, Processor, Vendor, Vendee, Supplier, Customer, User,
Users, Author, Owner, Borrower, Lender, Debtor, Creditor, Mortgagor, Mortgagee, Assignor, Assignee,
Principal, Agent, Manager, Director, President, Neighbor, Neighbour, Vermieter, Mieter, Untermieter,
Kaution, Miete, Verein, Gericht, Notar, Anwalt, Kläger, Beklagte, Gesetz, Grundgesetz, Impressum,
Betriebsrat, Vollmacht, Zeuge, Antrag, Urteil, Vertrag, Frist, Klausel, Schufa, Finanzamt, Rechtsanwalt,
Hartz, Abmahnung, Herr, Frau, Monsieur, Madame, Maître, Bailleur, Locataire, Notaire, Préavis, Huissier,
Madam, Ma'am, Sir, Sirs, Judge, Speaker
"""

# Places that everybody knows; a model calls them locations, and they tell of no one.
LANDMARKS = """
Grand Canyon, Mount Everest, Everest, Mount Rushmore, Mount Fuji, Kilimanjaro, Alps, Himalayas, Rocky
Mountains, Rockies, Appalachians, Andes, Pyrenees, Urals, Sahara, Gobi, Amazon River, Nile, Rhine, Danube,
Thames, Mississippi River, Colorado River, Hudson River, Rio Grande, Lake Superior, Lake Michigan, Lake
Erie, Lake Huron, Lake Ontario, Great Lakes, Lake Geneva, Lake Constance, Lake Tahoe, Loch Ness, North Sea,
Baltic Sea, Black Sea, Red Sea, Caspian Sea, Dead Sea, South China Sea, Mediterranean Sea, Atlantic Ocean,
Pacific Ocean, Indian Ocean, Arctic Ocean, Gulf of Mexico, Persian Gulf, English Channel, Bermuda Triangle,
Niagara Falls, Long Island, Ellis Island, Coney Island, Staten Island, Guantanamo Bay, San Francisco Bay,
Chesapeake Bay, Hudson Bay, Isle of Man, Isle of Wight, Channel Islands, Falkland Islands, Virgin Islands,
Marshall Islands, Cayman Islands, Solomon Islands, Easter Island, Capitol Hill, Beverly Hills, Silicon
Valley, Death Valley, Black Forest, Cape Town, Cape Cod, Eiffel Tower, Wall Street, Times Square, West Bank,
Gaza, Gaza Strip, Crimea, Kashmir, Tibet, Iberia, Manhattan, Brooklyn, Queens, Bronx, Hollywood, Eurasia,
Ocean, Sea, Space, Outer Space, Western Hemisphere, Southern Hemisphere, Northern Hemisphere, Deep South,
Wild West, Far East, Near East, Gulf, Levant, Maghreb, Balkans, Orient, Occident, Third World, Western
World, Global South, Eastern Europe, Western Europe
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
    re.compile(r"\b[A-ZÀ-Þ][a-zà-ÿ][\w'’-]+,?\s+(?:C?J|L?JJ?|P|MR)\b(?!\.?\s+[A-Z])\.?"),
    # Rules called after someone: "Lanham Act", "Megan's Law", "Miranda rights".
    re.compile(
        rf"\b{_NAME}(?:[ -]{_NAME}){{0,4}}(?:['’]s)?\s+(?:Acts?|Laws?|Codes?|Statutes?|Bills?|Amendments?|"
        rf"Doctrines?|Rules?|Tests?|Clauses?|Treat(?:y|ies)|Conventions?|Directives?|Regulations?|Orders?|"
        rf"Decisions?|Rulings?|Agreements?|Protocol|Charter|Constitution|Standard|Courts?|County|District|University|License|Licence|"
        rf"doctrine|rule|test|clause|rights?|warnings?|hearing|motion|case|decision|ruling|standard|act|"
        rf"filter|matrix|equations?|angles?|algorithm|parameters?|law|method|diagram|plot|criterion|transform)\b"
    ),
    # Doctrines and moves called after a case. The plurals are left out: "Peters claims" is a sentence.
    re.compile(
        rf"\b{_NAME}(?:[ -]{_NAME})?\s+(?:deference|release|material|evidence|offer|liability|immunity|"
        rf"abstention|injunction|plea|challenge|stop|search|waiver|letter|order|claim|action|charge|list|scheme|"
        rf"bargain|sanctions|"
        rf"analysis|exception|defen[cs]e|objection|violation|disclosure|application|precedent|principle|formula|"
        rf"framework|theory|presumption|proviso|trust|dissent|opinion|era|laws|statutes?|clauses?|waivers|warrants?)\b"
    ),
    re.compile(
        r"\b(?:[Ss]ections?|[Ss]ec\.|[Aa]rticles?|[Aa]rt\.|[Cc]hapters?|[Rr]ules?|[Tt]itles?|[Pp]arts?|§+)\s*"
        r"(?:\d[\w.()-]*|[IVXLC]+\b)"
    ),
    re.compile(
        rf"\b(?:University|Court|City|County|State|Province|Republic|Kingdom|Bank|Church)\s+of\s+(?:the\s+)?"
        rf"{_NAME}(?:\s+{_NAME}){{0,3}}"
    ),
    # Journals and rulings of the tax office: "Harv. L. Rev. Forum", "Rev. Rul. 59-60".
    re.compile(r"\b(?:L\. ?Rev|Rev\. ?(?:Rul|Proc|Stat))\b\.?(?: (?:Forum|Online|Disc)\b)?"),
    # What a first pass has put in the place of personal data.
    re.compile(r"<[A-Z_]+(?::[0-9a-f]+)?>"),
)

# Buildings, days and diseases called after someone, who may well be called the same elsewhere in the text.
_CALLED_AFTER = (
    re.compile(
        rf"\b[Tt]he\s+{_NAME}(?:\s+(?:{_NAME}|and|of|the|de|la)){{0,4}}\s+(?:[Aa]irport|[Mm]useum|[Tt]unnel|[Bb]ridge|Tower|"
        r"Park|Stadium|Theat(?:re|er)|Station|Building|Cent(?:re|er)|Library|Hotel|Hospital|Cathedral|Abbey|Palace|"
        r"Castle|Gallery|Seaway|Canal|Dam|Highway|Memorial|Monument|Prize|Award)\b"
    ),
    re.compile(rf"\b{_NAME}['’]s\s+(?:Day|Eve|Week|disease|syndrome|palsy)\b|\bHobson['’]s\s+choice\b"),
    re.compile(r"\bOld Bailey\b"),
)

# "MIRANDA V. ARIZONA"; "VICTOR V. CHEN" behind "MR." or "MY LANDLORD" has an initial.
_SHOUTED_VERSUS = re.compile(r"(?<=[A-ZÀ-Þ.'’] )VS?\.? (?=[A-ZÀ-Þ]{2})")
_CAPITALS_BEFORE = re.compile(r"(?:(?<![\w'’-])[A-ZÀ-Þ&][A-ZÀ-Þ.&'’-]* ){1,12}\Z")
_CAPITALS_BEHIND = re.compile(r"[A-ZÀ-Þ&][A-ZÀ-Þ.&'’-]*(?: [A-ZÀ-Þ&][A-ZÀ-Þ.&'’-]*(?![\w'’-])){0,4}")
_PERSONAL_WORDS = (
    "mr mrs ms miss mx dr prof rev my our his her their your dear hello hi man woman named called"
)
_PERSONAL_CAPITALS = frozenset(_PERSONAL_WORDS.upper().split())
_MOST_PARTY_WORDS = 4

# Words that begin a sentence.
_OPENING_WORDS = """
    what who whom whose why how when where which this that there these those the and but i my me we
    you he she they it if is are was do does did can could would should realistically technically
    obviously thanks edit cir license patent trust case law then also so as at in on of to for by from under
    after before since until while although because however therefore hence thus yes no not please sorry
    suppose assume assuming given imagine say let background question update note context example
"""
# Verbs, months and roles that are first names as well; a name beside another name, or by what stands before.
_WORD_NAMES = """
    will mark may bill grant sue rob chase art pat drew frank justice
    grace hope faith joy rose dawn april june august summer autumn carol dale glen heath jack jade max
    miles norm pearl ray reed rich rusty sandy skip sky stone victor wade ward young
    christian virgin mercy chance guy warren
"""
_SENTENCE_WORDS = frozenset(FUNCTION_WORDS.split())
_LOOK_BACK = 120
_OPENINGS = frozenset(_OPENING_WORDS.split())
_AMBIGUOUS = _OPENINGS | frozenset(_WORD_NAMES.split())


class AllowList:
    """Knows which words and places are no personal data.

    Args:
        more: further words and names, e.g. the tags of the data.
    """

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._brands = frozenset(map(normalize_text, BRANDS.replace("\n", " ").split(",")))
        lists = (JURISDICTIONS, TERMS, AUTHORITIES, BRANDS, ROLES, LANDMARKS)
        built_in = ",".join(lists).replace("\n", " ").split(",")
        self._terms = frozenset(filter(None, (normalize_text(term) for term in (*built_in, *more))))

    def __contains__(self, name: object) -> bool:
        """Whether a name, without its article and possessive, stands on the list."""
        return isinstance(name, str) and (self.allows_cued(name) or is_ambiguous(_words(name)))

    def allows_cued(self, name: str) -> bool:
        """Whether a name stands on the list although the words before it give a name away.

        "Will" is no name, but it is in "my brother Will".
        """
        words = _words(name)
        return words in self._terms or words in _OPENINGS

    def allows_titled(self, name: str) -> bool:
        """Whether a name stands on the list although "Mr." or the like stands before it.

        No company is called "Mr. McDonald".
        """
        return self.allows_cued(name) and _words(name) not in self._brands

    def protected(self, text: str) -> Iterator[tuple[int, int]]:
        """The stretches of a text that name a case, a court, a statute or a judge."""
        for pattern in _PROTECTED:
            for found in pattern.finditer(text):
                yield found.span()
        yield from find_shouted_cases(text)


def find_shouted_cases(text: str) -> Iterator[tuple[int, int]]:
    """The stretches of a text that name a case all in capitals.

    A party has at most four words, and none of those that hold a sentence together.
    """
    for versus in _SHOUTED_VERSUS.finditer(text):
        first = max(0, versus.start() - _LOOK_BACK)
        before = _CAPITALS_BEFORE.search(text[first : versus.start()])
        behind = _CAPITALS_BEHIND.match(text, versus.end())
        if not before or not behind:
            continue
        words = [word.strip(".,") for word in before.group().split()]
        party = _party(words[::-1])
        rest = words[: len(words) - len(party)][-3:]
        if not party or not _PERSONAL_CAPITALS.isdisjoint([*party, *rest]):
            continue
        begin = versus.start() - sum(map(len, before.group().split()[-len(party) :])) - len(party)
        other = behind.group().split()
        end = versus.end() + len(" ".join(other[: max(1, len(_party(other)))]))
        yield begin, end


def _party(words: list[str]) -> list[str]:
    """The words of a party, from the one beside the "v." on."""
    party: list[str] = []
    for word in words[:_MOST_PARTY_WORDS]:
        if word not in ("OF", "THE", "&") and word.lower() in _SENTENCE_WORDS:
            break
        party.append(word)
    return party


def find_called_after(text: str) -> Iterator[tuple[int, int]]:
    """The stretches of a text that name a building, a day, a disease or a company after someone."""
    yield from find_companies(text)
    for pattern in _CALLED_AFTER:
        for found in pattern.finditer(text):
            yield found.span()


def is_ambiguous(word: str) -> bool:
    """Whether a word is a first name and an ordinary word."""
    return word.lower() in _AMBIGUOUS


def _words(name: str) -> str:
    # Tags part their words with hyphens; so do the terms once normalized.
    return normalize_text(name).removeprefix("the ").removesuffix(" s")
