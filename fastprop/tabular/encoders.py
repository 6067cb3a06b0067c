"""Encode the columns of a table as the inputs of a network.

Each class describes how one column becomes inputs. It is fitted to the training rows, does not change afterwards, and
is stored in a model file as a plain dictionary.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np

from fastprop import _validation
from fastprop._util.text import number
from fastprop.tabular.reading import check_names, count
from fastprop.tabular.schema import Schema
from fastprop.tabular.shard import Shard
from fastprop.tabular.table import TableError
from fastprop.training.ranks import ALONE

__all__ = ["ENCODINGS", "CategoryEncoding", "Encoder", "NumberEncoding", "TextEncoding", "TimeEncoding"]

# A column of at most this many categories has an input for each. More are embedded: a table of learned rows is smaller
# than as many inputs, and similar categories can share what they learn.
ONE_HOT = 20
# A category of fewer training rows shares the row of the table for all that are unknown, from whose few examples
# nothing reliable is learned.
RARE = 2
# Numbers are clipped smoothly, by x / sqrt(1 + (x / 3)^2), to (-3, 3): outliers stay in the range in which the network
# was trained. Holzmueller, Grinsztajn and Steinwart 2024, *Better by default*.
CLIP = 3.0
# A word is an input if it occurs in this share of the rows, of at most this many words: rarer ones teach little.
WORD_SHARE, WORDS = 0.01, 50

DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")  # microseconds


@dataclass(frozen=True)
class Input:
    """One input of the network.

    Attributes
    ----------
    name : str
    role : {"number", "indicator", "code"}
        A number is encoded piecewise linearly, an indicator is 0 or 1, and a code selects a row of an embedding.
    n_codes : int
        The number of rows of the embedding.
    """

    name: str
    role: str
    n_codes: int = 0


@dataclass(frozen=True)
class NumberEncoding:
    """A column of numbers, robustly scaled and smoothly clipped, and with `gaps` an input that is 1 at a gap.

    The input is s(u) with u = (value - center) / scale and s(u) = u / sqrt(1 + (u / 3)^2). The center is the median,
    and the scale the interquartile range; where that is 0, half of the whole range.
    """

    name: str
    center: float
    scale: float
    gaps: bool

    kind: ClassVar[str] = "number"

    def __post_init__(self):
        check_names(self.name)
        for field_name, bounds in (("center", {}), ("scale", {"above": 0})):
            value = _validation.number(field_name, getattr(self, field_name), **bounds)
            object.__setattr__(self, field_name, value)
        _validation.flag("gaps", self.gaps)

    @property
    def inputs(self):
        """The inputs of the network that the column becomes."""
        return [Input(self.name, "number"), *([Input(f"{self.name} = (gap)", "indicator")] if self.gaps else [])]

    @classmethod
    def fit(cls, name, values, sample=None, ranks=ALONE):
        """Return the encoding of a column of the training rows, NaN at gaps; None if it is constant."""
        gaps = ranks.any(not np.isfinite(values).all())
        values = values if sample is None else sample
        known = values[np.isfinite(values)]
        if not len(known) or (known.min() == known.max() and not gaps):
            return None
        # Halves, since the difference of two large numbers may leave the range of float64.
        low, lower, center, upper, high = np.quantile(known / 2, [0, 0.25, 0.5, 0.75, 1])
        scale = 2 * (upper - lower) if upper > lower else high - low
        scale = float(np.clip(scale, np.finfo(float).tiny, np.finfo(float).max))
        return cls(name, float(2 * center), scale if high > low else 1.0, gaps)

    def transform(self, values, out):
        """Write the inputs of every row to `out`, (rows, len(inputs))."""
        missing = ~np.isfinite(values)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (np.where(missing, self.center, values) - self.center) / self.scale
            scaled = np.clip(scaled, -1e150, 1e150)  # whose squares are finite
        out[:, 0] = scaled / np.sqrt(1 + (scaled / CLIP) ** 2)
        if self.gaps:
            out[:, 1] = missing

    def remarks(self, values):
        """Yield a sentence if a new table has gaps and the training rows had none."""
        n_gaps = 0 if self.gaps else int((~np.isfinite(values)).sum())
        if n_gaps:
            yield (
                f"column {self.name!r} has {count(n_gaps, 'gap')}, filled with the median {number(self.center)}; "
                "there was none in the training rows"
            )


@dataclass(frozen=True)
class CategoryEncoding:
    """A column of categories: an input for each, or the code of a row of an embedding if there are more than 20.

    Categories that are not known share an input, or a row, with rare ones; gaps have one of their own.
    """

    name: str
    categories: tuple
    gaps: bool

    kind: ClassVar[str] = "category"

    def __post_init__(self):
        check_names(self.name, *self.categories)
        object.__setattr__(self, "categories", tuple(self.categories))
        _validation.flag("gaps", self.gaps)

    @property
    def embedded(self):
        """Whether the column is one code instead of an input for each category."""
        return len(self.categories) > ONE_HOT

    @property
    def inputs(self):
        """The inputs of the network that the column becomes."""
        values = [*self.categories, "(other)", *(["(gap)"] if self.gaps else [])]
        if self.embedded:
            return [Input(self.name, "code", len(values))]
        return [Input(f"{self.name} = {value}", "indicator") for value in values]

    @classmethod
    def fit(cls, name, values, sample=None, ranks=ALONE):
        """Return the encoding of codes, -1 at gaps, and texts of the training rows; None if they are constant.

        The rows of each category are counted on all ranks; no sample is needed.
        """
        codes, texts = values
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        gaps = ranks.any((codes < 0).any())
        known, mine = Counter(), {text: int(n) for text, n in zip(texts, counts, strict=True) if n}
        for each in ranks.gather_objects(mine):
            known.update(each)
        if len(known) + gaps < 2:
            return None
        categories = sorted(text for text, n in known.items() if n >= RARE)
        return cls(name, tuple(categories), gaps)

    def transform(self, values, out):
        """Write the inputs of every row to `out`, (rows, len(inputs))."""
        codes, texts = values
        places = {category: k for k, category in enumerate(self.categories)}
        other = len(places)
        chosen = np.array([places.get(text, other) for text in texts] + [other + self.gaps], np.int64)[codes]
        if self.embedded:
            out[:, 0] = chosen
        else:
            out[:] = 0
            out[np.arange(len(codes)), chosen] = 1

    def remarks(self, values):
        """Yield a sentence about the cells of a new table that have no input of their own."""
        codes, texts = values
        known = set(self.categories)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        unknown = {text: int(n) for text, n in zip(texts, counts, strict=True) if n and text not in known}
        n_cells = sum(unknown.values()) + (0 if self.gaps else int((codes < 0).sum()))
        if n_cells:
            shown = ", ".join(map(repr, sorted(unknown)[:3])) + (", ..." if len(unknown) > 3 else "")
            yield (
                f"column {self.name!r} has {count(n_cells, 'cell')} outside the {len(known)} categories of the model"
                + (f" ({shown})" if shown else " (gaps)")
            )


@dataclass(frozen=True)
class TimeEncoding:
    """A column of times, as numbers: the days since a date, and the year, month, day, weekday and hour that vary."""

    name: str
    parts: tuple

    kind: ClassVar[str] = "time"

    def __post_init__(self):
        check_names(self.name)
        parts = tuple(part if isinstance(part, NumberEncoding) else NumberEncoding(**part) for part in self.parts)
        object.__setattr__(self, "parts", parts)

    @property
    def inputs(self):
        """The inputs of the network that the column becomes."""
        return [each for part in self.parts for each in part.inputs]

    @classmethod
    def fit(cls, name, values, sample=None, ranks=ALONE):
        """Return the encoding of a column of the training rows, NaT at gaps; None if it is constant."""
        numbers = _parts(values)
        few = numbers if sample is None else _parts(sample)
        fitted = [NumberEncoding.fit(f"{name}: {part}", numbers[part], few[part], ranks) for part in numbers]
        parts = tuple(part for part in fitted if part is not None)
        return cls(name, parts) if parts else None

    def transform(self, values, out):
        """Write the inputs of every row to `out`, (rows, len(inputs))."""
        numbers, start = _parts(values), 0
        for part in self.parts:
            end = start + len(part.inputs)
            part.transform(numbers[part.name.removeprefix(f"{self.name}: ")], out[:, start:end])
            start = end

    def remarks(self, values):
        """Yield a sentence if a new table has gaps and the training rows had none."""
        n_gaps = 0 if self.parts[0].gaps else int(np.isnat(values).sum())
        if n_gaps:
            yield f"column {self.name!r} has {count(n_gaps, 'gap')}; there was none in the training rows"


def _parts(values):
    """Return what the times (rows,) say as numbers, NaN at gaps: by name, float64 (rows,)."""
    missing = np.isnat(values)
    days = values.astype("datetime64[D]")
    months = values.astype("datetime64[M]")
    since = days.astype(np.int64)
    parts = {
        "days": values.astype(np.int64) / DAY,
        "year": values.astype("datetime64[Y]").astype(np.int64) + 1970,
        "month": months.astype(np.int64) % 12 + 1,
        "day": (days - months).astype(np.int64) + 1,
        "weekday": (since + 3) % 7,  # 1970-01-01 was a Thursday; Monday is 0
        "hour": (values - days).astype(np.int64) / (DAY / 24),
    }
    return {name: np.where(missing, np.nan, part.astype(np.float64)) for name, part in parts.items()}


@dataclass(frozen=True)
class TextEncoding:
    """A column of texts that are mostly different: an input for each of its frequent words, and their number."""

    name: str
    words: tuple
    length: NumberEncoding | None

    kind: ClassVar[str] = "text"

    def __post_init__(self):
        check_names(self.name, *self.words)
        object.__setattr__(self, "words", tuple(self.words))
        if isinstance(self.length, dict):
            object.__setattr__(self, "length", NumberEncoding(**self.length))

    @property
    def inputs(self):
        """The inputs of the network that the column becomes."""
        words = [Input(f"{self.name} has {word!r}", "indicator") for word in self.words]
        return [*(self.length.inputs if self.length else []), *words]

    @classmethod
    def fit(cls, name, values, sample=None, ranks=ALONE):
        """Return the encoding of codes, -1 at gaps, and texts of the training rows; None if nothing varies."""
        sample = values if sample is None else sample
        codes, texts = sample
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        rows = Counter()
        for text, n in zip(texts, counts, strict=True):
            if n:
                for word in dict.fromkeys(_words(text)):
                    rows[word] += int(n)
        least = max(RARE, WORD_SHARE * len(codes))
        most = len(codes) - least
        words = [word for word, n in rows.most_common() if least <= n <= most][:WORDS]
        length = NumberEncoding.fit(f"{name}: words", _n_words(values), _n_words(sample), ranks)
        return cls(name, tuple(sorted(words)), length) if words or length else None

    def transform(self, values, out):
        """Write the inputs of every row to `out`, (rows, len(inputs))."""
        codes, texts = values
        start = 0
        if self.length is not None:
            start = len(self.length.inputs)
            self.length.transform(_n_words(values), out[:, :start])
        places = {word: k for k, word in enumerate(self.words)}
        has = np.zeros((len(texts) + 1, len(self.words)))
        for row, text in enumerate(texts):
            has[row, [places[word] for word in _words(text) if word in places]] = 1
        out[:, start:] = has[codes]

    def remarks(self, values):
        """Yield nothing: any text can be read."""
        return iter(())


def _words(text):
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def _n_words(values):
    """Return the number of words of each row, NaN at gaps."""
    codes, texts = values
    return np.array([*(float(len(_words(text))) for text in texts), np.nan])[codes]


ENCODINGS = {encoding.kind: encoding for encoding in (NumberEncoding, CategoryEncoding, TimeEncoding, TextEncoding)}


@dataclass(frozen=True)
class Encoder:
    """How a table becomes the inputs of a network.

    Attributes
    ----------
    schema : Schema
        How the cells of each column are read.
    columns : tuple of NumberEncoding, CategoryEncoding, TimeEncoding and TextEncoding
        The encoding of each column of the schema.
    notes : tuple of str
        The columns that were left out, and why. They are not stored in the model file.
    """

    schema: Schema
    columns: tuple
    notes: tuple = field(default=(), compare=False)

    def __post_init__(self):
        read, encoded = ([(each.name, each.kind) for each in of] for of in (self.schema.columns, self.columns))
        if read != encoded:  # a model file may come from anyone
            raise ValueError(f"the columns that are read, {read}, are not those that are encoded, {encoded}")

    @property
    def names(self):
        """The columns that a table must have."""
        return self.schema.names

    @property
    def inputs(self):
        """The inputs of the network, in their order."""
        return [each for column in self.columns for each in column.inputs]

    @property
    def input_names(self):
        """The names of the network's inputs."""
        return [each.name for each in self.inputs]

    @property
    def n_inputs(self):
        """The number of inputs of the network, the width of what `transform` returns."""
        return len(self.inputs)

    @property
    def places(self):
        """The inputs of each column: a slice for each."""
        ends = np.cumsum([0, *(len(column.inputs) for column in self.columns)]).tolist()
        return [slice(start, end) for start, end in zip(ends, ends[1:])]

    @classmethod
    def fit(cls, table, schema):
        """Return the encoder of the columns of a schema, fitted to the training rows, the same on all ranks.

        Parameters
        ----------
        table : Table or Shard
            Over several ranks, gaps and categories are those of all rows; quantiles, words and what is constant are
            found in the sample of them.
        schema : Schema
        """
        shard = table if isinstance(table, Shard) else Shard.of(table)
        table, ranks, read = shard.table, shard.ranks, schema.read(shard.table)
        samples = read if ranks.alone else schema.read(shard.sample)
        ranks.meet()  # since one may have had more cells to read
        kept, columns, notes = [], [], list(schema.notes)
        for column, values, sample in zip(schema.columns, read, samples, strict=True):
            encoding = ENCODINGS[column.kind].fit(column.name, values, sample, ranks)
            if encoding is None:
                notes.append(f"column {column.name!r} is the same in every training row and is left out")
            else:
                kept.append(column)
                columns.append(encoding)
        if not columns:
            raise ranks.common(
                TableError(
                    f"{table.path} has no column to learn from; wanted at least one beside the target "
                    f"({'; '.join(notes)})"
                )
            )
        # Of quantiles the last bit may depend on the CPU.
        return ranks.broadcast_object(cls(Schema(tuple(kept)), tuple(columns), tuple(notes)))

    def transform(self, table):
        """Return the inputs, float32 (rows, n_inputs), of a table that has the columns, in any order."""
        return self.encode(self.schema.read(table), table.n_rows)

    def encode(self, values, n_rows):
        """Return the inputs, float32 (rows, n_inputs), of the values that ``schema.read`` returned."""
        out = np.empty((n_rows, self.n_inputs), np.float32)
        for column, place, each in zip(self.columns, self.places, values, strict=True):
            column.transform(each, out[:, place])
        return out

    def remarks(self, table):
        """Return sentences about gaps and categories of a table that were not in the training rows."""
        values = self.schema.read(table)
        remarks = self.schema.remarks(table)
        return remarks + [
            each for column, read in zip(self.columns, values, strict=True) for each in column.remarks(read)
        ]

    def to_dict(self):
        """Return a description that JSON can hold."""
        columns = [{"kind": column.kind, **asdict(column)} for column in self.columns]
        return {"schema": self.schema.to_dict(), "columns": columns}

    @classmethod
    def from_dict(cls, description):
        """Return the Encoder that `to_dict` described."""
        columns = []
        for entry in description["columns"]:
            fields = dict(entry)
            columns.append(ENCODINGS[fields.pop("kind")](**fields))
        return cls(Schema.from_dict(description["schema"]), tuple(columns))
