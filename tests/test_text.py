"""Numbers, columns of them and lines, as people read them."""

from hypothesis import given
from hypothesis import strategies as st

from fastprop._util import text

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1, max_size=60)


@given(st.floats(), st.sampled_from([".6g", ".4g", ".10g", ".2f", ",.0f", ".3e"]))
def test_zero_has_no_sign(value, form):
    shown = text.number(value, form)
    assert shown == f"{value:{form}}" or (float(shown) == 0 and f"-{shown}" == f"{value:{form}}")


@given(st.lists(st.floats(-1e6, 1e6).map(text.number), min_size=1))
def test_decimal_points_stand_below_each_other(numbers):
    lines = text.aligned(numbers)
    assert [line.strip() for line in lines] == numbers and len({len(line) for line in lines}) == 1
    assert len({line.index(".") for line in lines if "." in line}) <= 1


@given(st.lists(NAMES, min_size=1, max_size=12), st.integers(20, 200), st.integers(0, 8))
def test_a_wrapped_line_fits_and_loses_nothing(words, most, indent):
    line = " " * indent + " ".join(words)
    lines = text.wrapped(line, most)
    assert all(text.width(each) <= most for each in lines)
    assert "".join("".join(lines).split()) == "".join(line.split())
    if text.width(line) <= most:
        assert lines == [line.rstrip()]


def test_an_address_stays_whole():
    address = "http://127.0.0.1:45123/?token=0123456789abcdef0123456789abcdef"
    assert text.wrapped(f"playground: {address}", 40) == ["playground:", f"  {address}"]


def test_the_second_column_is_continued_below_itself():
    assert text.wrapped("  --seed N     the seed of every random choice, a whole number", 50) == [
        "  --seed N     the seed of every random choice, a",
        "               whole number",
    ]


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**6), NAMES), max_size=6), st.integers(40, 200))
def test_a_table_fits(rows, most):
    rows = [("name", "parameters", "kind"), *((name, f"{n:,}", kind) for name, n, kind in rows)]
    lines = text.table(rows, most, numbers=[1])
    assert all(text.width(line) <= most for line in lines)
    assert sorted("".join("".join(lines).split())) == sorted("".join("".join(map("".join, rows)).split()))
