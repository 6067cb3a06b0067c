"""Texts of cells as gaps, numbers and times: functions of the distinct texts of a column, without the table.

What a text means may depend on its column: ``1.234`` is a thousand where the comma is the decimal mark, and
``1/2/2026`` is in January or in February. So a format is found for a column from all its texts, and stored, since the
cells of a new table must be read in the same way.
"""

import re
from dataclasses import asdict, dataclass

import numpy as np

from fastprop import _validation

__all__ = [
    "CLOCK",
    "DECIMAL_POINT",
    "MISTAKES",
    "Gaps",
    "NumberFormat",
    "TimeFormat",
    "decimal_votes",
    "is_plain",
    "looks_like_codes",
    "looks_like_compact_dates",
    "looks_like_times",
    "plain_floats",
    "units_of",
]

# What pandas reads as a gap, what SAS, MySQL, R and spreadsheets write for one, and what people type; in lower case.
USUAL_GAPS = frozenset(
    {"", "na", "n/a", "n.a.", "<na>", "#na", "#n/a", "#n/a n/a", "nan", "-nan", "1.#ind", "-1.#ind", "1.#qnan"}
    | {"-1.#qnan", "nat", "null", "(null)", "<null>", "#null!", "nil", "none", "missing", "(missing)", "\\n"}
    | {"not available", "?", "??", ".", "-", "--", "---", "\u2013", "\u2014"}
    | {"#value!", "#div/0!", "#ref!", "#num!", "#name?"}
)
# Of these, what may be a category: a result is + or -, and there may be no ("None") veneer. In a column of
# categories they are kept as they are, since a gap is a category of its own there anyway.
MAYBE_CATEGORIES = frozenset(
    {"none", "nil", "missing", "(missing)", "not available", "-", "--", "---", "\u2013", "\u2014"}
)


class Gaps:
    """The spellings that make a cell a gap.

    Parameters
    ----------
    spellings : sequence of str, optional
        The texts that are gaps, in any case, instead of the usual ones; ``"default"`` among them stands for the usual
        ones. An empty cell always is one. A spelling that is a number, such as -200, is a gap in each of its forms
        (-200.0), and in columns of numbers only.

    Attributes
    ----------
    numbers : set of float
        The spellings that are numbers.
    """

    def __init__(self, spellings=None):
        self.spellings = None if spellings is None else tuple(spellings)
        given = {"default"} if spellings is None else {text.strip().casefold() for text in spellings}
        usual = USUAL_GAPS if "default" in given else frozenset()
        given -= {"default"}
        self.numbers = {float(text) for text in given if _PLAIN(text)}
        self._texts = frozenset(given | usual | {""})
        # What the user names is a gap everywhere.
        self._in_categories = frozenset(given | (usual - MAYBE_CATEGORIES) | {""})

    def mask(self, texts, category=False):
        """Return which texts are gaps, in a column of numbers or times, or in one of categories; bool (n_texts,)."""
        if not (category or self.numbers) and plain_floats(texts) is not None:
            return np.zeros(len(texts), bool)
        known = self._in_categories if category else self._texts
        mask = np.fromiter((text.casefold() in known for text in texts), bool, len(texts))
        if self.numbers and not category:
            for i, text in enumerate(texts):
                if not mask[i] and _PLAIN(text) and float(text) in self.numbers:
                    mask[i] = True
        return mask


_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?").fullmatch

_MONEY = (
    r"(?:US|A|C|R|HK|NZ|S)?\$|[\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba\u20aa\u20b1\u20ab\u0e3f]|Rs\.?|kr\.?"
    r"|(?:USD|EUR|GBP|JPY|CHF|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RUB|TRY|BRL|MXN|ZAR|KRW|SGD|HKD)"
)
# An accounting negative stands in brackets; a sign may stand before or behind the currency, or behind the number.
_SHAPE = re.compile(
    rf"(\()?([+-])? ?({_MONEY})? ?([+-])?(\d[\d.,' ]*|[.,]\d+)([eE][+-]?\d+)?"
    r" ?([^\d\s.,'()-][^\d()]{0,14}?)? ?(-)?(\))?"
).fullmatch
_KNOWN_UNIT = re.compile(rf"%|\u2030|{_MONEY}").fullmatch
_MULTIPLIERS = {"k": "e3", "K": "e3", "M": "e6", "B": "e9"}
# Minus, hyphens and dashes; blanks that do not break, thin ones; the apostrophe of a typesetter.
_ORDINARY = str.maketrans(
    dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-")
    | dict.fromkeys("\u00a0\u202f\u2009\u2007\u2002\u2003", " ")
    | dict.fromkeys("\u2019\u02bc", "'")
)
# Digits with or without marks of thousands: 1234.5, 1,234.5, and 12,34,567 as in India.
_GROUPED = re.compile(
    r"(?:\d+|[1-9]\d{0,2}([,' ])\d{3}(?:\1\d{3})*|[1-9]\d?(?:,\d{2})+,\d{3})(?:\.\d*)?|\.\d+"
).fullmatch
_LONE_COMMA = re.compile(r"\d*,\d+").fullmatch
# A point that cannot be a mark of thousands, in texts joined by zeros.
DECIMAL_POINT = re.compile(r"\.(?!\d{3}(?:\0|$))|(?:^|\0)[+-]?0?\.")
_NO_MARKS = str.maketrans("", "", ",' ")
_SWAPPED = str.maketrans(".,", ",.")

# The least number of distinct texts with which a common word behind the digits is a unit (5 kg, 7 kg, ...). With fewer
# they may as well be categories (2WD, 4WD), from which nothing less is learned.
MIN_WITH_UNIT = 5
MAX_LENGTH = 60  # of a number with all that stands around it; longer texts are not looked into
MISTAKES = 0.1  # of the cells of a column of numbers or times, at most this share may be something else: mistakes


def plain_floats(texts):
    """Return texts as finite numbers, float64 (n_texts,), if all are such as Python writes them, else None."""
    try:
        values = np.array(list(map(float, texts)), np.float64)
    except ValueError:
        return None
    joined = "".join(texts)  # float takes 1_000 and digits of other scripts too
    return values if np.isfinite(values).all() and "_" not in joined and joined.isascii() else None


def is_plain(text):
    """Return whether a text is a finite number as Python writes it."""
    return _PLAIN(text) is not None and abs(float(text)) < np.inf


@dataclass(frozen=True)
class _Shape:
    """A text taken apart: the sign, the digits with their marks, the exponent, and what stands around them."""

    negative: bool
    digits: str
    exponent: str
    unit: str

    @classmethod
    def of(cls, text):
        match = _SHAPE(text.translate(_ORDINARY)) if len(text) <= MAX_LENGTH else None
        if match is None:
            return None
        opened, sign, money, sign_2, digits, exponent, unit, sign_3, closed = match.groups()
        signs = [mark for mark in (sign, sign_2, sign_3) if mark]
        if bool(opened) != bool(closed) or len(signs) + bool(opened) > 1:
            return None
        unit = (unit or "").rstrip()
        if unit in _MULTIPLIERS and not exponent:
            exponent, unit = _MULTIPLIERS[unit], ""
        return cls(bool(opened) or signs == ["-"], digits.rstrip(" "), exponent or "", (money or "") + unit)

    def value(self, decimal):
        """Return the number, or None if the marks between the digits make none."""
        digits = self.digits if decimal == "." else self.digits.translate(_SWAPPED)
        if _GROUPED(digits):
            digits = digits.translate(_NO_MARKS)
        elif _LONE_COMMA(digits):  # it cannot be a mark of thousands, so it is a decimal mark
            digits = digits.replace(",", ".")
        else:
            return None
        value = float(digits + self.exponent)
        return -value if self.negative else value


def decimal_votes(texts):
    """Return how many texts are numbers only if the point, and how many only if the comma, is the decimal mark.

    1.5 and 1,234.5 speak for the point, 1,5 and 1.234.567 for the comma; 1,234 and 950 for neither.
    """
    if plain_floats(texts) is not None:
        return len(DECIMAL_POINT.findall("\0".join(texts))), 0
    points = commas = 0
    for text in texts:
        if "." not in text and "," not in text:
            continue
        shape = _Shape.of(text)
        if shape is not None:
            point, comma = bool(_GROUPED(shape.digits)), bool(_GROUPED(shape.digits.translate(_SWAPPED)))
            points += point and not comma
            commas += comma and not point
    return points, commas


def units_of(texts, counts):
    """Return how many cells are numbers in each currency, or per cent: counts by unit, "" where there is none."""
    units = {}
    for text, count in zip(texts, counts, strict=True):
        shape = _Shape.of(text)
        if shape is not None and (not shape.unit or _KNOWN_UNIT(shape.unit)):
            units[shape.unit] = units.get(shape.unit, 0) + int(count)
    return units


def looks_like_codes(texts):
    """Return whether texts are codes, such as postal ones: three digits or more, all as many, some with a leading 0."""
    return (
        len(texts) > 0
        and len({len(text) for text in texts}) == 1
        and len(texts[0]) >= 3
        and all(text.isdecimal() for text in texts)
        and any(text.startswith("0") for text in texts)
    )


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal : {".", ","}
        The decimal mark. The other one is a mark of thousands, as are blanks and apostrophes.
    unit : str
        What may stand around the digits: a currency, %, or a word that is common to the column.
    """

    decimal: str = "."
    unit: str = ""

    def __post_init__(self):
        _validation.choice("decimal", self.decimal, (".", ","))
        if not isinstance(self.unit, str):  # a model file may come from anyone
            raise TypeError(f"a unit is a text, got {self.unit!r:.100}")

    @classmethod
    def of(cls, texts, counts, decimal="."):
        """Return the format of a column.

        Parameters
        ----------
        texts : sequence of str
            The distinct texts of the column, without gaps.
        counts : integer array (n_texts,)
            How many cells hold each.
        decimal : {".", ","}
            The decimal mark if the texts do not decide it, which is that of other columns of the file.
        """
        points, commas = decimal_votes(texts)
        if points != commas:
            decimal = "." if points > commas else ","
        if plain_floats(texts) is not None:
            return cls(decimal)
        units, distinct = {}, {}
        for text, count in zip(texts, counts, strict=True):
            shape = None if _PLAIN(text) else _Shape.of(text)
            if shape is not None and shape.unit:
                units[shape.unit] = units.get(shape.unit, 0) + int(count)
                distinct[shape.unit] = distinct.get(shape.unit, 0) + 1
        unit = max(units, key=units.get, default="")
        if unit and not _KNOWN_UNIT(unit):
            common = units[unit] >= (1 - MISTAKES) * int(np.sum(counts))
            unit = unit if common and distinct[unit] >= MIN_WITH_UNIT else ""
        return cls(decimal, unit)

    def read(self, texts):
        """Return texts as numbers.

        Returns
        -------
        values : float64 array (n_texts,)
            NaN where a text is no number.
        parsed : bool array (n_texts,)
            Which texts are numbers. Infinite ones are.
        """
        values, parsed = plain_floats(texts), np.ones(len(texts), bool)
        if values is not None and (self.decimal == "." or not any("." in text for text in texts)):
            return values, parsed
        values = np.full(len(texts), np.nan)
        for i, text in enumerate(texts):
            if _PLAIN(text) and (self.decimal == "." or "." not in text):
                values[i] = float(text)
                continue
            value = self._number(text)
            if value is None:
                parsed[i] = False
            else:
                values[i] = value
        return values, parsed

    def _number(self, text):
        shape = _Shape.of(text)
        if shape is None:
            return float(text) if text.lstrip("+-").lower() in ("inf", "infinity") else None
        return shape.value(self.decimal) if shape.unit in ("", self.unit) else None

    def to_dict(self):
        """Return a description that JSON can hold."""
        return asdict(self)


_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = rf"(?:{'|'.join(_MONTHS)})[a-z]*\.?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
_DATE = (
    r"(?:(?P<Y>\d{4})[-/.](?P<M>\d{1,2})[-/.](?P<D>\d{1,2})"
    r"|(?P<Y0>1[5-9]\d\d|2[01]\d\d)[-/](?P<M0>\d{1,2})"
    r"|(?P<a>\d{1,2})(?P<separator>[-/.]) ?(?P<b>\d{1,2})(?P=separator) ?(?P<y>\d{4}|\d{2})"
    rf"|{_WEEKDAY}(?P<d1>\d{{1,2}})(?:st|nd|rd|th)?\.?[- /]?(?P<m1>{_MONTH})[- /,]{{0,2}}(?P<y1>\d{{4}}|\d{{2}})"
    rf"|{_WEEKDAY}(?P<m2>{_MONTH})[- ]?(?:(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?:, ?| |-))?(?P<y2>\d{{4}})"
    r"|(?P<compact>\d{8}))"
)
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?"
)
_ZONE = r"(?: ?(?:z|utc|gmt|[+-]\d{2}(?::?\d{2})?))?"
_TIME = re.compile(rf"{_DATE}(?:(?:t|,? |, ?){_CLOCK}{_ZONE})?", re.IGNORECASE).fullmatch
_CLOCK_ALONE = re.compile(rf"{_CLOCK}{_ZONE}", re.IGNORECASE).fullmatch
_MAYBE = re.compile(r"\d[-/.:, ]\s?\w|[a-z]{3}", re.IGNORECASE).search

CLOCK = "clock"
# Digits such as 20261231 are dates only if all are; of random numbers of eight digits one in 1,000 is one, so ten
# distinct ones are no accident.
MIN_COMPACT = 10


@dataclass(frozen=True)
class TimeFormat:
    """How the dates and times of a column are written.

    Attributes
    ----------
    kind : {"date", "clock"}
        Dates, with or without a time of day; or times of day alone, which are of the first of January 1970.
    day_first : bool
        Whether 1/2/2026 is in February.
    certain : bool
        Whether a date of the column says so; 1/2/2026 alone does not. Otherwise it is an assumption.
    """

    kind: str = "date"
    day_first: bool = False
    certain: bool = True

    def __post_init__(self):
        _validation.choice("kind", self.kind, ("date", CLOCK))
        _validation.flag("day_first", self.day_first)
        _validation.flag("certain", self.certain)

    @classmethod
    def of(cls, texts, day_first=None):
        """Return the format of a column of times.

        Parameters
        ----------
        texts : sequence of str
            The distinct texts of the column, without gaps, in the order of the rows.
        day_first : bool, optional
            What the user said, which is not questioned.
        """
        matches = [_TIME(text) for text in texts]
        if sum(match is not None for match in matches) < sum(_CLOCK_ALONE(text) is not None for text in texts):
            return cls(CLOCK)
        pairs = [(int(m["a"]), int(m["b"])) for m in matches if m and m["a"]]
        if not pairs or day_first is not None:
            return cls("date", bool(day_first))
        days, months = sum(a > 12 >= b for a, b in pairs), sum(b > 12 >= a for a, b in pairs)
        if days != months:
            return cls("date", days > months)
        # Rows that are in order of time in one way only were written so. Otherwise the slash is American.
        ordered = [_is_sorted(cls("date", first).read(texts)[0]) for first in (False, True)]
        if ordered[0] != ordered[1]:
            return cls("date", ordered[1], certain=False)
        slashes = sum(m["separator"] == "/" for m in matches if m and m["a"])
        return cls("date", 2 * slashes < len(pairs), certain=False)

    def read(self, texts):
        """Return texts as times. Of a time with a zone the hour of the clock is taken, by which people live.

        Returns
        -------
        values : datetime64[us] array (n_texts,)
            NaT where a text is no time.
        parsed : bool array (n_texts,)
            Which texts are times.
        """
        read = _clock if self.kind == CLOCK else _date
        parts = [read(text, self.day_first) for text in texts]
        parsed = np.array([part is not None for part in parts], bool)
        values = np.full(len(texts), "NaT", "datetime64[us]")
        if parsed.any():
            numbers = np.array([part for part in parts if part is not None], np.int64)
            months = ((numbers[:, 0] - 1970) * 12 + numbers[:, 1] - 1).astype("datetime64[M]")
            days = months.astype("datetime64[D]") + (numbers[:, 2] - 1).astype("timedelta64[D]")
            values[parsed] = days.astype("datetime64[us]") + numbers[:, 3].astype("timedelta64[us]")
            wrong = days.astype("datetime64[M]") != months  # as the 31st of June
            values[np.flatnonzero(parsed)[wrong]] = np.datetime64("NaT", "us")
        return values, ~np.isnat(values)

    def to_dict(self):
        """Return a description that JSON can hold."""
        return asdict(self)


def looks_like_times(texts):
    """Return whether most of a sample of texts are times; digits such as 20261231 are not."""
    found = sum(bool(_MAYBE(text)) and bool(_TIME(text) or _CLOCK_ALONE(text)) for text in texts)
    return found > 0.5 * len(texts)


def looks_like_compact_dates(texts, name):
    """Return whether all texts of a column are dates such as 20261231, and are many, or its name says so."""
    if not all(len(text) == 8 and text.isdecimal() and "1800" <= text[:4] < "2200" for text in texts):
        return False
    hint = re.search(r"date|datum|fecha|day|(^|_)dt($|_)", name, re.IGNORECASE) is not None
    return (hint or len(texts) >= MIN_COMPACT) and bool(TimeFormat().read(texts)[1].all())


def _is_sorted(values):
    return bool((values[1:] >= values[:-1]).all())


def _date(text, day_first):
    """Return (year, month, day, microseconds of the day) of a text; None if it is no date."""
    match = _TIME(text.strip())
    if match is None:
        return None
    date, clock = match.groups()[:-5], match.groups()[-5:]
    year, month, day, year_alone, month_alone, a, _, b, y, d1, m1, y1, m2, d2, y2, compact = date
    if year or year_alone:
        numbers = int(year or year_alone), int(month or month_alone), int(day or 1)
    elif a:
        left, right = int(a), int(b)
        numbers = (_year(y), right, left) if day_first else (_year(y), left, right)
    elif compact:
        numbers = int(compact[:4]), int(compact[4:6]), int(compact[6:])
    else:
        numbers = _year(y1 or y2), _MONTHS.index((m1 or m2)[:3].lower()) + 1, int(d1 or d2 or 1)
    clock = _microseconds(*clock)
    if clock is None or not (1 <= numbers[1] <= 12 and 1 <= numbers[2] <= 31):
        return None
    return (*numbers, clock)


def _year(text):
    """Return the year of two or four digits; of two as POSIX has it, from 1969 to 2068."""
    return int(text) + (0 if len(text) == 4 else 2000 if int(text) < 69 else 1900)


def _clock(text, _):
    match = _CLOCK_ALONE(text.strip())
    clock = None if match is None else _microseconds(*match.groups())
    return None if clock is None else (1970, 1, 1, clock)


def _microseconds(hour, minute, second, fraction, half):
    """Return the microseconds since midnight; None if there is no such time."""
    if hour is None:
        return 0
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if half:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + 12 * (half in "pP")
    if hours > 24 or minutes > 59 or seconds > 60 or (hours == 24 and minutes + seconds):
        return None
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((fraction or "0").ljust(6, "0")[:6])
