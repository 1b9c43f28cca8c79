"""Find HTML tags in a text, as opposed to text that only looks like tags.

The parser would read ``<5`` or ``<john@example.com>`` as tags, knows only HTML 4, and supports few forms
of attributes. Therefore, tags are found here: those of known elements are normalized, all other markup is
removed, and every other ``<`` is escaped.
"""

from __future__ import annotations

import html
import re
from html.entities import html5, name2codepoint


def _names(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


# https://html.spec.whatwg.org/multipage/indices.html#elements-3, with those of older versions and browsers.
_ELEMENTS = _names(
    """a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink
    blockquote body br button canvas caption center cite code col colgroup command content data datalist
    dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure font footer form frame
    frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image img input ins isindex kbd
    keygen label legend li link listing main map mark marquee math menu menuitem meta meter nav nobr
    noembed noframes noscript object ol optgroup option output p param picture plaintext portal pre
    progress q rb rp rt rtc ruby s samp script search section select shadow slot small source spacer
    span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time
    title tr track tt u ul var video wbr xmp"""
)
# Elements that need no closing tag.
_UNCLOSED = _names(
    """area base basefont bgsound body br col colgroup command dd dt embed frame head hr html image img
    input isindex keygen li link menuitem meta option optgroup p param rb rp rt rtc source spacer tbody
    td tfoot th thead tr track wbr"""
)
# Words that people put in angle brackets as a placeholder, a type or a header file.
_PLACEHOLDERS = _names(
    """a address area article audio base body button canvas caption command content data datalist dialog dir
    embed figure filter font form frame head header html image input label legend link listing map mark
    math menu meta meter object option output param picture portal progress search section select slot
    source spacer style template text time title track var video"""
)
# Elements that follow a word directly and are never closed.
_BEHIND_WORDS = _names("br p li hr img tr td th dd dt wbr")
# Names that no type has.
_FORMATTING = _names(
    "b big center code div em font h1 h2 h3 h4 h5 h6 i ol pre small span strong sub sup table tt u ul"
)
# https://html.spec.whatwg.org/multipage/indices.html#attributes-3, those without a value, and older ones.
_BOOLEAN = _names(
    """allowfullscreen async autofocus autoplay checked compact controls declare default defer disabled
    disablepictureinpicture download draggable formnovalidate hidden inert ismap itemscope loop multiple
    muted nohref nomodule noresize noshade novalidate nowrap open playsinline popover readonly required
    reversed scoped seamless selected shadowrootclonable spellcheck translate truespeed typemustmatch
    contenteditable webkitallowfullscreen mozallowfullscreen frameborder allowtransparency"""
)
# Their content is not part of the page, so everything up to their end is removed.
_RAW = frozenset(("script", "style", "iframe", "noembed", "noframes"))
_PREFIXES = ("data-", "aria-", "v-", "ng-", "x-", "_", "*ng", "#", "@", ":")
# Attributes that the text uses.
_KEPT = ("href", "alt", "start")

_NAME = r"[a-zA-Z][a-zA-Z0-9]*(?:[:.-][a-zA-Z0-9_]+)*"
# Long values (such as inline images) contain no tags, and values with tags are short: a linear search.
_QUOTED = r"\"(?:[^\"<]*+|[^\"]{0,2000})\"|'(?:[^'<]*+|[^']{0,2000})'"
_VALUE = rf"\s{{0,9}}=\s{{0,9}}(?:{_QUOTED}|[^\s\"'<>=`]++)"
_ATTRIBUTE = rf"[^\s\"'<>/=]{{1,200}}+(?:{_VALUE})?"
_TAG = re.compile(rf"<(/?)({_NAME})((?:(?:[\s/]+|(?<=[\"'])){_ATTRIBUTE}){{0,60}})[\s/]{{0,99}}>")
# Most tags are these, without attributes, and are kept as they are.
_NOT_PLAIN = re.compile(
    r"<(?!/?(?:p|br|li|ul|ol|pre|code|blockquote|strong|em|h[1-6]|hr|div|tr|td|th)\s?/?>)", re.IGNORECASE
)
_PAIRS = re.compile(rf"([^\s\"'<>/=]{{1,200}}+)({_VALUE})?")
_CLOSING = re.compile(rf"</({_NAME})")
_DECLARATION = re.compile(
    r"<!\[CDATA\[|<!\[[^<>]{0,300}>|<![a-zA-Z][^<>]{0,2000}>"
    r"|<\?[a-zA-Z=](?:[^?<]|\?(?!>)){0,5000}\?>|<\?[a-zA-Z][^<>]{0,2000}>|<!-{0,3}>"
)
# The rest of a tag at the end of a truncated text.
_TRUNCATED = re.compile(rf"<(?:/({_NAME})?|({_NAME})\s[^<>]*=[^<>]*)\Z")
# Prose may also end in "<a == b".
_TRUNCATED_IN_PROSE = re.compile(rf"<(?:/({_NAME})|({_NAME})\s[^<>]*=\s?[\"'][^<>]*)\Z")
_ENTITY = re.compile(
    r"&(?:#(?:[xX][0-9a-fA-F]{1,6}|\d{1,7})(?:;|(?![0-9a-fA-F]))|([a-zA-Z][a-zA-Z0-9]{1,31})(;?))"
)


def plain_markup(document: str) -> str:
    """Normalize the tags of known elements, and escape every other ``<``.

    Comments, declarations, processing instructions and tags of other elements are removed; the content of
    elements stays. Text that is not a tag (a comparison, an address, a type such as ``List<String>``) stays.

    Args:
        document: HTML, complete or a fragment.

    Example:
        >>> plain_markup("<o:p>if x<y</o:p> <details open>")
        'if x&lt;y <details>'
    """
    return _Scanner(_with_plain_entities(document)).run()


def markup_in_prose(document: str) -> str | None:
    """Like :func:`plain_markup`, for prose with occasional tags or comments.

    Without other tags, a lone ``<title>`` is a placeholder, and ``List<Link>`` is a type.

    Args:
        document: prose or Markdown, with its code escaped.

    Returns:
        None if there is no markup.

    Example:
        >>> markup_in_prose("<p>unclosed <b>"), markup_in_prose("Dear <title>, x < y")
        ('<p>unclosed <b>', None)
    """
    scanner = _ProseScanner(_with_plain_entities(document))
    text = scanner.run()
    return text if scanner.has_markup else None


def _with_plain_entities(document: str) -> str:
    return _ENTITY.sub(_entity, document) if "&" in document else document


def _entity(found: re.Match[str]) -> str:
    """An entity in a form that the parser reads: with a semicolon, as an HTML 4 name or as the character."""
    name, end = found[1], found[2]
    if name is None:
        return html.escape(html.unescape(found[0].rstrip(";") + ";"), quote=False)
    if end and name in name2codepoint:
        return found[0]
    if end and f"{name};" in html5:
        return html.escape(html5[f"{name};"], quote=False)
    # Only the oldest entities may lack a semicolon; "?a=1&copy=2" contains no entity.
    if not end and name in html5 and found.string[found.end() : found.end() + 1] != "=":
        return f"&{name};"
    return f"&amp;{name}{end}"


class _Scanner:
    """Processes one ``<`` after another."""

    _next = _NOT_PLAIN
    _truncated = _TRUNCATED

    def __init__(self, document: str) -> None:
        self._document = document
        # The last closing tag of each element, so that the search for one is not repeated.
        self._closed = {found[1].lower(): found.start() for found in _CLOSING.finditer(document)}
        self._last_comment_end = document.rfind("-->")
        self._cdata = "<![CDATA[" in document

    def run(self) -> str:
        document = self._document
        made: list[str] = []
        place = 0
        while found := self._next.search(document, place):
            made.append(document[place : found.start()])
            text, place = self._at(found.start())
            made.append(text)
        made.append(document[place:])
        text = "".join(made)
        return text.replace("]]>", "") if self._cdata else text

    def _at(self, begin: int) -> tuple[str, int]:
        """The replacement for the markup that starts here, and the index where the markup ends."""
        document = self._document
        if found := _TAG.match(document, begin):
            return self._tag(found)
        following = document[begin + 1 : begin + 2]
        if following in ("!", "?"):
            empty = document.startswith(("<!-->", "<!--->"), begin)
            if not empty and document.startswith("<!--", begin) and begin + 4 <= self._last_comment_end:
                return "", document.index("-->", begin + 4) + 3
            if found := _DECLARATION.match(document, begin):
                return "", found.end()
            if document.startswith("<!--", begin):
                # An unclosed comment would hide the rest of the text.
                return "", begin + 4
        if (found := self._truncated.match(document, begin)) and (
            found[2] is None or found[2].lower() in _ELEMENTS
        ):
            return "", found.end()
        return "&lt;", begin + 1

    def _tag(self, found: re.Match[str]) -> tuple[str, int]:
        name, begin = found[2].lower(), found.start()
        if found[1]:
            return (f"</{name}>" if name in _ELEMENTS else ""), found.end()
        pairs = _PAIRS.findall(found[3])
        if not self._is_tag(name, found, pairs):
            return "&lt;", begin + 1
        if name not in _ELEMENTS:
            return "", found.end()
        closed = self._closed.get(name, -1) > begin
        if name in _RAW:
            return "", self._raw_end(name, found.end()) if closed else found.end()
        if not closed and name in _SWALLOWING:
            return "", found.end()
        if not pairs:
            return f"<{name}>", found.end()
        return f"<{name}{''.join(map(_attribute, pairs))}>", found.end()

    def _is_tag(self, name: str, found: re.Match[str], pairs: list[tuple[str, str]]) -> bool:
        valued = any(value for _, value in pairs)
        closed = self._closed.get(name, -1) > found.start()
        if name not in _ELEMENTS:
            # An unknown element, closed or with values, or of another vocabulary; not "<your name>".
            ends = ":" in name or closed or found[0].endswith("/>")
            # Custom elements have a hyphen in their name, and attributes with any name.
            own = closed and "-" in name
            return valued or own or (ends and all(_known_attribute(key.lower()) for key, _ in pairs))
        strange = [key for key, _ in pairs if not valued and not _known_attribute(key.lower())]
        if strange:
            # "<b and c>" is a comparison; a closed element with a longer name has a custom attribute.
            return len(name) > 1 and closed
        # A type such as "List<A>" follows a word and is never closed.
        if pairs or name in _UNCLOSED or name in _NO_TYPES or not self._follows_word(found):
            return True
        return (closed and name != "a") or (name in _FORMATTING and found[2] == name)

    def _follows_word(self, found: re.Match[str]) -> bool:
        return self._document[max(0, found.start() - 1) : found.start()].isalnum()

    def _raw_end(self, name: str, begin: int) -> int:
        found = re.compile(rf"</{re.escape(name)}[^>]*>?", re.IGNORECASE).search(self._document, begin)
        return found.end() if found else begin


class _ProseScanner(_Scanner):
    """A scanner for prose, where most text in angle brackets is not a tag."""

    _next = re.compile("<")
    _truncated = _TRUNCATED_IN_PROSE

    def __init__(self, document: str) -> None:
        super().__init__(document)
        self.has_markup = False
        self._is_page = any(name in _ELEMENTS for name in self._closed) or _PAGE.search(document) is not None

    def _at(self, begin: int) -> tuple[str, int]:
        text, end = super()._at(begin)
        self.has_markup |= text != "&lt;"
        # A comment on a line of its own leaves no blank line.
        before, behind = self._document[max(0, begin - 1) : begin], self._document[end : end + 1]
        if self._document.startswith("<!--", begin) and before in ("", "\n") and behind == "\n":
            end += 1
        return text, end

    def _is_tag(self, name: str, found: re.Match[str], pairs: list[tuple[str, str]]) -> bool:
        if not super()._is_tag(name, found, pairs):
            return False
        if pairs or name not in _ELEMENTS or self._closed.get(name, -1) > found.start():
            return True
        if self._is_page:
            return True
        if self._follows_word(found):
            return name in _BEHIND_WORDS and found[2] == name
        return name not in _PLACEHOLDERS


# Not "List<P>".
_PAGE = re.compile(
    r"(?<![^\W_])<(?:!doctype|html|(?:p|div|span|ul|ol|li|br|table|h[1-6])(?=[\s/>]))", re.IGNORECASE
)
_NO_TYPES = _RAW | {"noscript", "svg", "textarea", "blockquote", "strong", "details", "summary", "fieldset"}
# If they are not closed, they would remove all of the text that follows.
_SWALLOWING = _names(
    """applet audio canvas datalist math noscript object svg template textarea title video xmp listing
    plaintext select"""
)


def _known_attribute(name: str) -> bool:
    return name in _BOOLEAN or name.startswith(_PREFIXES)


def _attribute(pair: tuple[str, str]) -> str:
    name = pair[0].lower()
    if name not in _KEPT or not pair[1]:
        return ""
    value = pair[1].lstrip(" \t\r\n\f=").strip()
    if value[:1] in "\"'":
        value = value[1:-1]
    return f' {name}="{value.replace("<", "&lt;").replace(chr(34), "&quot;")}"'
