"""Schema: what each column of a table is, and how its cells are read, found once and stored in the model."""

import re
from dataclasses import asdict, dataclass, field

import numpy as np

from fastprop import _validation
from fastprop._util.text import number
from fastprop.tabular.cells import (
    CLOCK,
    MISTAKES,
    Gaps,
    NumberFormat,
    TimeFormat,
    decimal_votes,
    is_plain,
    looks_like_codes,
    looks_like_compact_dates,
    looks_like_times,
    plain_floats,
    units_of,
)
from fastprop.tabular.reading import (
    ColumnSchema,
    as_texts,
    check_finite,
    gaps_word,
    quoted,
    read_numbers,
    read_texts,
    verb,
)
from fastprop.tabular.suspects import Suspects
from fastprop.tabular.table import NumberColumn, TableError, TextColumn, TimeColumn, nearest

__all__ = ["Schema", "infer_column"]

# A column of texts of which more than half, and more than 50, are different is text, of which the words are inputs.
MIN_TEXTS = 50
# With at most this many distinct texts, some of them no numbers and repeated, a column is one of categories (1, 2, 3+).
FEW = 20
# At most this many distinct texts stand for "no number" in a column of numbers, however many cells hold them.
MARKS = 3
MANY = 4  # of columns of which more would be said one by one, it is said in one sentence
_ORDINARY_TIME = re.compile(r"\d{4}[-/]\d|\d?\d:\d\d(:\d\d)?$").match  # ISO 8601, 14:05: of these nobody wonders


@dataclass(frozen=True)
class Schema:
    """The columns that a model reads, in order.

    Attributes
    ----------
    columns : tuple of ColumnSchema
    notes : tuple of str
        Sentences about the columns for the user. They are not stored, nor are the warnings.
    warnings : tuple of str
        Sentences about columns that may know the target.
    """

    columns: tuple
    notes: tuple = field(default=(), compare=False)
    warnings: tuple = field(default=(), compare=False)

    @property
    def names(self):
        """The columns that a table must have."""
        return tuple(column.name for column in self.columns)

    @classmethod
    def infer(cls, table, *, target=None, exclude=(), categorical=(), keep=(), na=None, dates=None):
        """Return the schema of a table.

        Parameters
        ----------
        table : Table
        target : str, optional
            The column that is to be predicted. It is left out, and so are copies of it.
        exclude : sequence of str
            Columns that are left out.
        categorical : sequence of str
            Columns of numbers that are read as categories.
        keep : sequence of str
            Columns that are not left out, although they look like row numbers, names of rows or copies.
        na : sequence of str, optional
            The spellings of gaps, instead of the usual ones; ``"default"`` stands for these.
        dates : {"dmy", "mdy"}, optional
            The order of day and month in dates such as 1/2/2026; by default the cells decide.

        Raises
        ------
        TableError
            If a column that is named is not there, nothing is left, or a number is infinite.
        """
        for name in (*exclude, *categorical, *keep, *(() if target is None else (target,))):
            table[name]  # refused if there is none
        inference = _Inference(table, na, dates)
        columns, notes = [], []
        for name in table.names:
            if name != target and name not in exclude:
                column, sentences = inference.column(
                    name, name in categorical or getattr(table[name], "categorical", False)
                )
                notes += sentences
                if column is not None:
                    columns.append(column)
        notes += inference.sentences()
        aim = None if target is None else inference.column(target)[0]
        suspects = Suspects(table.n_rows, None if aim is None else (aim.kind, aim.read(table[target])))
        for column in columns:
            suspects.look_at(column.name, column.kind, _read(table, column))
        # What is all there is does more than tell the rows apart.
        left_out = dict(suspects.row_names) if len(suspects.row_names) < len(columns) else {}
        left_out |= {name: f"says the same as {original!r}" for name, original in suspects.copies.items()}
        left_out |= dict.fromkeys(suspects.target_copies, f"is a copy of the target {target!r}")
        left_out = {name: why for name, why in left_out.items() if name not in keep}
        notes += [f"column {name!r} {why}, and is left out (--keep {name!r})" for name, why in left_out.items()]
        notes += [each for name, sentences in suspects.notes.items() if name not in left_out for each in sentences]
        warnings = [
            f"column {name!r} by itself predicts {target!r} almost perfectly ({found:.1%} of what varies): "
            "if it is not known before the target is, leave it out (--ignore)"
            for name, found in suspects.leaks.items()
            if name not in (*keep, *left_out)
        ]
        kept = tuple(column for column in columns if column.name not in left_out)
        if not kept:
            raise TableError(
                f"{table.path} has no column to learn from; wanted at least one beside the target"
                + (f" ({'; '.join(notes)})" if notes else "")
            )
        return cls(kept, tuple(notes), tuple(warnings))

    def read(self, table):
        """Return the values of each column, as ``ColumnSchema.read`` returns them.

        Raises
        ------
        TableError
            If the table lacks a column, or a number is infinite.
        """
        lacking = [name for name in self.names if name not in table.columns]
        if lacking:
            spare = [name for name in table.names if name not in self.names]
            listed = ", ".join(f"{name!r}{nearest(name, spare)}" for name in lacking)
            what = "the column" if len(lacking) == 1 else f"{len(lacking)} columns:"
            raise TableError(
                f"{table.path} lacks {what} {listed}; the model was trained on {', '.join(map(repr, self.names))}"
            )
        return [_read(table, column) for column in self.columns]

    def remarks(self, table):
        """Return sentences about cells of a new table that are not of their column's kind, and so are read as gaps."""
        return [remark for column in self.columns for remark in column.remarks(table[column.name])]

    def to_dict(self):
        """Return a description that JSON can hold."""
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, description):
        """Return the Schema that `to_dict` described."""
        return cls(tuple(ColumnSchema(**column) for column in description["columns"]))


def _read(table, column):
    """Return the values of a column of a schema, or raise an error that names an infinite cell."""
    values = column.read(table[column.name])
    if column.kind == "number":
        check_finite(table, column.name, values)
    return values


def infer_column(table, name, *, na=None, dates=None, categorical=False):
    """Internal: return how a column of a table is read, None if it is empty, and sentences about it for the user."""
    inference = _Inference(table, na, dates)
    column, notes = inference.column(name, categorical)
    return column, [*notes, *inference.sentences()]


class _Inference:
    """What is found about the columns of one table."""

    def __init__(self, table, na, dates):
        self.table, self.na = table, None if na is None else tuple(na)
        self.gaps = Gaps(na)
        self.day_first = None if dates is None else _validation.choice("dates", dates, ("dmy", "mdy")) == "dmy"
        votes = [
            decimal_votes(column.texts[:10_000]) for column in table.columns.values() if isinstance(column, TextColumn)
        ]
        points = sum(points > commas for points, commas in votes)
        commas = sum(commas > points for points, commas in votes)
        self.decimal = table.decimal if points == commas else "." if points > commas else ","
        # By name: how many cells are numbers, how many are not, and these; and a cell with the number it is read as.
        self._gaps_of, self._examples = {}, {}

    def sentences(self):
        """Return sentences about the columns of numbers that were found."""
        sentences = []
        if len(self._gaps_of) > MANY:
            listed = [f"{n:,} in {name!r} ({quoted})" for name, (_, n, quoted) in self._gaps_of.items()]
            sentences.append(
                f"{len(self._gaps_of)} columns of numbers have cells that are none, which are read as gaps: "
                f"{_listed(listed)}"
            )
        else:
            sentences += [
                f"{n_numbers:,} of {n_numbers + n:,} cells of {name!r} are numbers, "
                f"{n:,} {verb(n)} {quoted} and read as {gaps_word(n)}"
                for name, (n_numbers, n, quoted) in self._gaps_of.items()
            ]
        if len(self._examples) > MANY:
            text, number = next(iter(self._examples.values()))
            sentences.append(
                f"{len(self._examples)} columns hold numbers such as {text!r:.60}, read as {number}: "
                f"{_listed(list(map(repr, self._examples)))}"
            )
        else:
            sentences += [
                f"column {name!r} holds numbers such as {text!r:.60}, read as {number}"
                for name, (text, number) in self._examples.items()
            ]
        return sentences

    def column(self, name, categorical=False):
        """Return the ColumnSchema of a column, None if it is empty, and sentences about it."""
        column = self.table[name]
        if isinstance(column, TimeColumn):
            return (ColumnSchema(name, "time", na=self.na), []) if not np.isnat(column.values).all() else _empty(name)
        if isinstance(column, NumberColumn) and column.codes is None and not categorical:
            return self._numbers(name, column)
        if isinstance(column, NumberColumn) and not categorical and (schema := self._mostly_numbers(name, column)):
            return schema, []
        codes, texts = as_texts(column)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        missing = self.gaps.mask(texts)
        places = np.flatnonzero((counts > 0) & ~missing)
        known, counts = [texts[place] for place in places], counts[places]
        if not known:
            return _empty(name)
        if categorical:
            return ColumnSchema(name, "category", na=self.na), []
        if looks_like_codes(known):
            note = f"column {name!r} holds codes with leading zeros, such as {_first_with_zero(known)!r}: categories"
            return ColumnSchema(name, "category", na=self.na), [note]
        found = NumberFormat.of(known, counts, self.decimal)
        numbers, parsed = found.read(known)
        share = counts[parsed].sum() / counts.sum()
        compact = looks_like_compact_dates(known, name)
        if share > 0.5 and not compact and self._is_number(known, counts, numbers, parsed):
            schema = ColumnSchema(name, "number", found, self.na)
            self._note_numbers(schema, column, known, numbers, parsed)
            return schema, []
        if compact or looks_like_times(_evenly(known, 100)):
            times = TimeFormat.of(known, self.day_first)
            values, read = times.read(known)
            if counts[read].sum() >= (1 - MISTAKES) * counts.sum() or (read.any() and (~read).sum() <= MARKS):
                schema = ColumnSchema(name, "time", times, self.na)
                return schema, self._said_of_times(schema, column, known, values, read)
        category_codes, _ = read_texts(column, self.gaps)
        n_known = int((category_codes >= 0).sum())
        if not n_known:
            return _empty(name)
        distinct = len(np.unique(category_codes[category_codes >= 0]))
        kind = "text" if distinct > MIN_TEXTS and 2 * distinct > n_known else "category"
        notes = []
        if share > 0.5:
            failed = read_numbers(column, found, self.gaps)[1]
            notes.append(
                f"{n_known - failed.sum():,} of {n_known:,} cells of {name!r} are numbers, but the others are "
                f"{quoted(column, failed)}: it is read as {'categories' if kind == 'category' else 'text'}"
            )
        elif sum((units := units_of(known, counts)).values()) > 0.5 * counts.sum() and len(units) > 1:
            listed = ", ".join(f"{n:,} with {unit!r}" if unit else f"{n:,} without" for unit, n in units.items())
            notes.append(
                f"cells of {name!r} are numbers in different units ({listed}): it is read as "
                f"{'categories' if kind == 'category' else 'text'}; convert them to one"
            )
        return ColumnSchema(name, kind, na=self.na), notes

    def _numbers(self, name, column):
        """Return what a column of numbers without texts is, and sentences about it."""
        values = column.values
        known = values[~np.isnan(values)]
        if not len(known):
            return _empty(name)
        if known.min() >= 18000101 and known.max() < 22000101 and (known == np.round(known)).all():
            texts = [str(int(value)) for value in np.unique(known)]
            if looks_like_compact_dates(texts, name):
                schema = ColumnSchema(name, "time", TimeFormat(), self.na)
                return schema, self._said_of_times(schema, column, texts, *schema.format.read(texts))
        return ColumnSchema(name, "number", NumberFormat(self.decimal), self.na), []

    def _mostly_numbers(self, name, column):
        """Return the ColumnSchema of a column of numbers with some texts; None if these are too many."""
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.texts))
        places = np.flatnonzero((counts > 0) & ~self.gaps.mask(column.texts))
        known, counts = [column.texts[place] for place in places], counts[places]
        found = NumberFormat.of(known, counts, self.decimal)
        numbers, parsed = found.read(known)
        n_numbers = int((~np.isnan(column.values)).sum() + counts[parsed].sum())
        n_others = int(counts[~parsed].sum())
        if not n_numbers or n_others > MISTAKES * (n_numbers + n_others):
            return None
        schema = ColumnSchema(name, "number", found, self.na)
        self._note_numbers(schema, column, known, numbers, parsed)
        return schema

    @staticmethod
    def _is_number(known, counts, numbers, parsed):
        """Return whether what is no number in a column of numbers is a mistake or a mark, and not a category."""
        if parsed.all():
            return True
        if len(known) <= FEW and (counts[~parsed] > 1).all():
            return False
        return counts[parsed].sum() >= (1 - MISTAKES) * counts.sum() or (~parsed).sum() <= MARKS

    def _note_numbers(self, schema, column, known, numbers, parsed):
        """Note what the user may not expect of a column that is read as numbers."""
        values, failed = schema.numbers(column)
        odd = failed | self._unusual_gaps(column)
        if odd.any():
            self._gaps_of[schema.name] = int((~np.isnan(values)).sum()), int(odd.sum()), quoted(column, odd)
        plain = plain_floats(known)
        if plain is not None and (plain == numbers).all():
            return
        changed = [
            (text, value)
            for text, value, is_number in zip(known, numbers, parsed, strict=True)
            if is_number and not (is_plain(text) and float(text) == value)
        ]
        if changed:
            text, value = max(changed, key=lambda each: len(each[0]) if len(each[0]) < 20 else 0)
            self._examples[schema.name] = text, _shown(value)

    def _said_of_times(self, schema, column, known, values, read):
        name, notes = schema.name, []
        failed = schema.times(column)[1]
        if failed.any():
            notes.append(
                f"{len(column) - failed.sum():,} of {len(column):,} cells of {name!r} are dates or times, "
                f"{failed.sum():,} {verb(failed.sum())} {quoted(column, failed)} and read as {gaps_word(failed.sum())}"
            )
        known, values = [text for text, is_time in zip(known, read, strict=True) if is_time], values[read]
        if all(_ORDINARY_TIME(text) for text in known):
            return notes
        days = (values - values.astype("datetime64[M]")).astype("timedelta64[D]").astype(int) + 1
        place = max(range(len(known)), key=lambda place: (days[place] > 12, len(known[place])))
        if not schema.format.certain:  # one of which both readings are dates, and differ
            differs = TimeFormat("date", not schema.format.day_first).read(known)[0] != values
            place = int(differs.argmax()) if differs.any() else place
        shown = str(values[place])
        shown = shown[11:16] if schema.format.kind == CLOCK else shown[:10]
        sentence = f"column {name!r} holds times such as {known[place]!r:.60}, read as {shown}"
        if not schema.format.certain:
            other = "mdy" if schema.format.day_first else "dmy"
            sentence += (
                f"; no date there says whether the day or the month comes first: if this is wrong, say --dates {other}"
            )
        return [*notes, sentence]

    def _unusual_gaps(self, column):
        """Return which cells are gaps that are not spelt as usual, bool (rows,); the user may want to know of them."""
        plain = {"", "na", "n/a", "nan", "null", "<na>", "nat", "#n/a"}
        texts = column.texts
        unusual = self.gaps.mask(texts) & np.array([text.casefold() not in plain for text in texts], bool)
        return np.append(unusual, False)[column.codes]


def _empty(name):
    return None, [f"column {name!r} is empty and left out"]


def _evenly(texts, n):
    """Return at most n texts, evenly spaced."""
    return [texts[place] for place in np.unique(np.linspace(0, len(texts) - 1, n).astype(int))]


def _first_with_zero(texts):
    return next(text for text in texts if text.startswith("0"))


def _listed(texts):
    return ", ".join(texts[:MANY]) + (", ..." if len(texts) > MANY else "")


def _shown(value):
    return number(value, ".15g")
