"""PowerShell's words and values: strings with variables in them, arrays, tables, and numbers that are computed."""

from __future__ import annotations

import re
from typing import Final

from omniplan.formats.traced import Source, Traced, joined

Table = dict[str, "Value"]
Value = Traced | list[Traced] | dict[str, "Value"]

_SKIP: Final = re.compile(r"(?:[ \t]+|`\r?\n|<\#[\s\S]*?\#>)+")
_SKIP_LINES: Final = re.compile(r"(?:\s+|`\r?\n|<\#[\s\S]*?\#>|\#[^\n]*)+")
_DOUBLE: Final = re.compile(r'"(?P<body>(?:`[\s\S]|""|\$\((?:[^()]|\([^()]*\))*\)|[^"`])*)"')
_SINGLE: Final = re.compile(r"'(?P<body>(?:''|[^'])*)'")
_TWICE: Final = re.compile(r"'(?P<one>')")
_HERE: Final = re.compile(r"@(?P<quote>[\"'])[ \t]*\r?\n(?P<body>[\s\S]*?)\r?\n(?P=quote)@")
_VARIABLE: Final = re.compile(r"\$(?:\{(?P<braced>[^}]*)\}|(?P<name>(?:\w+:)?\w+))")
_INSIDE: Final = re.compile(
    r"`(?P<escaped>[\s\S])|\"\"|(?P<whole>\$\((?:[^()]|\([^()]*\))*\))|\$(?:\{(?P<braced>[^}]*)\}|(?P<name>(?:\w+:)?\w+))"
)
_BARE: Final = re.compile(r"(?:`[^\r\n]|[^\s;|(){}'\"`$]|\$(?![\w{(:]))+")
_SPLAT: Final = re.compile(r"@(\w+)")
_NUMBER: Final = re.compile(r"-?\d+(?![\w.])(?:[KMG]B)?", re.IGNORECASE)
_MEMBER: Final = re.compile(r"(?:\.\w+(?:\([^()]*\))?|\[[^\]\n]*\])+")
_REDIRECT: Final = re.compile(r"[*\d]?>{1,2}(?:&\d|\s*\S+)?")
_KEY: Final = re.compile(r"[\"']?([\w-]+)[\"']?\s*=\s*")
_COMMA: Final = re.compile(r"\s*,")
_END: Final = re.compile(r"[;\r\n|})]|$|&&|\#")
_LEVELS: Final = 12
# Parts of one expression; each is joined to all before it.
_PARTS: Final = 2_000


def fields_of(value: Value) -> list[Traced]:
    """The words that a value is as arguments of a program."""
    if isinstance(value, dict):
        return [word for name, item in value.items() for word in (Traced().saying(f"-{name}"), *fields_of(item))]
    return value if isinstance(value, list) else [value]


class Lexer:
    """Words and values of ``source``; ``known`` are variables by their names in small letters."""

    def __init__(self, source: Source, known: dict[str, Value]) -> None:
        self._source, self._text, self._known = source, source.text, known

    def past_parentheses(self, at: int) -> int:
        """Behind the parenthesis that closes the one at ``at``."""
        depth = 0
        while at < len(self._text):
            if match := _DOUBLE.match(self._text, at) or _SINGLE.match(self._text, at):
                at = match.end()
                continue
            depth += {"(": 1, ")": -1}.get(self._text[at], 0)
            at += 1
            if not depth:
                return at
        return at

    def words(self, at: int) -> tuple[list[Value], int]:
        """The words of a command from ``at`` on, and where it ends."""
        found: list[Value] = []
        while at < len(self._text):
            if match := _SKIP.match(self._text, at) or _REDIRECT.match(self._text, at):
                at = match.end()
                continue
            if self._text[at] == "&" and not found:
                found.append(self._source.span(at, at + 1))
                at += 1
                continue
            if _END.match(self._text, at):
                break
            value, end = self._word(at)
            if end <= at:
                at += 1
                continue
            found.append(value)
            at = end
        return found, at

    def _word(self, at: int) -> tuple[Value, int]:
        """One word: parts that touch, of which a single array or table stays what it is."""
        parts: list[Value] = []
        while at < len(self._text):
            part, end = self._part(at, is_first=not parts)
            if part is None or end <= at:
                break
            parts.append(part)
            at = end
        if len(parts) == 1:
            return parts[0], at
        return joined((joined(fields_of(part)) for part in parts), ""), at

    def _part(self, at: int, *, is_first: bool) -> tuple[Value | None, int]:
        if is_first and (match := _SPLAT.match(self._text, at)):
            return self._known.get(match[1].lower()) or self._open(*match.span()), match.end()
        if self._text.startswith(("(", "$(", "@(", "@{", "'", '"', '@"', "@'"), at) and is_first:
            value, end = self._primary(at, 0)
            comma = _COMMA.match(self._text, end)
            if value is not None and comma:
                value, end = self._expression(at, 0)
            return (self._open(at, end) if value is None else value), end
        if match := _BARE.match(self._text, at):
            return self._source.span(*match.span()).replaced(re.compile(r"`(?=.)"), lambda _: Traced()), match.end()
        value, end = self._primary(at, 0)
        return value, end

    def is_command(self, at: int) -> bool:
        """Whether a value is given by a command."""
        return self._text[at : at + 1].isalpha() or self._text.startswith("&", at)

    def value(self, at: int) -> tuple[Value | None, int]:
        """The value of an expression, None for one that only PowerShell knows, and where it ends."""
        value, end = self._expression(at, 0)
        rest = _SKIP.match(self._text, end)
        end = rest.end() if rest else end
        if value is not None and not _END.match(self._text, end) and not self._text.startswith(",", end):
            stop = self._text.find("\n", end)
            return None, len(self._text) if stop < 0 else stop
        return value, end

    def _expression(self, at: int, depth: int) -> tuple[Value | None, int]:
        """Primaries with commas, plus signs and stars between them."""
        begin, count = at, 0
        value, at = self._primary(at, depth)
        while value is not None and at < len(self._text):
            count += 1
            if count > _PARTS:
                return None, at
            skip = _SKIP.match(self._text, at)
            sign_at = skip.end() if skip else at
            sign = self._text[sign_at : sign_at + 1]
            if (
                sign not in {",", "+", "*", "-", "/"}
                or depth > _LEVELS
                or self._text[sign_at + 1 : sign_at + 2].isalpha()
            ):
                break
            lines = _SKIP_LINES.match(self._text, sign_at + 1)
            other, end = self._primary(lines.end() if lines else sign_at + 1, depth + 1)
            value = None if other is None else self._combined(value, sign, other, begin, end)
            at = end
        return value, at

    def _combined(self, left: Value, sign: str, right: Value, at: int, end: int) -> Value | None:
        if sign == "," or (sign == "+" and isinstance(left, list)):
            return [*fields_of(left), *fields_of(right)]
        texts = [item.text for item in (left, right) if isinstance(item, Traced)]
        if len(texts) == 2 and all(text.lstrip("-").isdecimal() and len(text) < 15 for text in texts):
            a, b = map(int, texts)
            number = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if b and not a % b else None}[sign]
            return None if number is None else self._source.span(at, end).saying(str(number))
        is_text = sign == "+" and isinstance(left, Traced) and isinstance(right, Traced)
        return joined((left, right), "") if is_text and isinstance(left, Traced) and isinstance(right, Traced) else None

    def _primary(self, at: int, depth: int) -> tuple[Value | None, int]:
        text = self._text
        if depth > _LEVELS:
            return None, at
        if match := _HERE.match(text, at):
            body = self._source.span(*match.span("body"))
            return (self._filled(body) if match["quote"] == '"' else body), match.end()
        if match := _DOUBLE.match(text, at):
            body = self._source.span(*match.span("body"))
            return (self._filled(body) if body.text else self._source.span(*match.span()).saying("")), match.end()
        if match := _SINGLE.match(text, at):
            body = self._source.span(*match.span("body"))
            body = body.replaced(_TWICE, lambda found: body.slice(*found.span("one")))
            return (body if body.text else self._source.span(*match.span()).saying("")), match.end()
        if text.startswith("@(", at):
            return self._array(at + 2, depth)
        if text.startswith("@{", at):
            return self._table(at + 2, depth)
        if text.startswith(("(", "$("), at):
            inner, end = self._expression(_past(_SKIP_LINES, text, text.index("(", at) + 1), depth + 1)
            end = _past(_SKIP_LINES, text, end)
            return (
                (inner, end + 1)
                if inner is not None and text[end : end + 1] == ")"
                else (None, self.past_parentheses(text.index("(", at)))
            )
        if match := _VARIABLE.match(text, at):
            member = _MEMBER.match(text, match.end())
            end = member.end() if member else match.end()
            known = None if member else self._known.get((match["braced"] or match["name"]).lower())
            return known or self._open(at, end), end
        if match := _NUMBER.match(text, at):
            return self._source.span(*match.span()), match.end()
        return None, at

    def _array(self, at: int, depth: int) -> tuple[Value | None, int]:
        found: list[Traced] = []
        while True:
            at = _past(_SKIP_LINES, self._text, at)
            if at >= len(self._text) or self._text[at] == ")":
                return found, at + 1
            value, end = self._expression(at, depth + 1)
            if end <= at:
                return None, self.past_parentheses(self._text.rfind("(", 0, at))
            found += [self._open(at, end)] if value is None else fields_of(value)
            at = end
            while self._text[at : at + 1] in {",", ";"}:
                at += 1

    def _table(self, at: int, depth: int) -> tuple[Value | None, int]:
        found: dict[str, Value] = {}
        while at < len(self._text):
            at = _past(_SKIP_LINES, self._text, at)
            if self._text[at : at + 1] in {"}", ""}:
                break
            match = _KEY.match(self._text, at)
            if not match:
                at += 1
                continue
            value, end = self._expression(match.end(), depth + 1)
            if value is not None:
                found[match[1].lower()] = value
            at = max(end, match.end())
        return found, at + 1

    def _filled(self, text: Traced) -> Traced:
        """What stands between double quotes."""

        def choose(match: re.Match[str]) -> Traced:
            if match["escaped"]:
                return text.slice(*match.span("escaped"))
            if match[0] == '""':
                return text.slice(match.start() + 1, match.end())
            known = None if match["whole"] else self._known.get((match["braced"] or match["name"]).lower())
            return text.slice(*match.span()).opened() if known is None else joined(fields_of(known))

        return text.replaced(_INSIDE, choose)

    def _open(self, start: int, stop: int) -> Traced:
        return self._source.span(start, stop).opened()


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
