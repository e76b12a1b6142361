import pytest

from pipelabs.core.pasted import Column, PastedError, PastedRow, name_cells, read_rows
from tests.each import each

NUMBER = Column("number", frozenset({"no", "number"}), str.isdigit)
MAIL = Column("mail", frozenset({"mail", "email"}), lambda cell: "@" in cell)
TEXT = Column("text", frozenset({"text"}))


@each(
    "text",
    ["1\ta, b\tx@y\r\n\r\n2\tc\t", "1;a, b; x@y\n2;c;", '1,"a, b", x@y\n\n2,c,\n'],
)
def test_read_rows_separates_cells_by_tabs_semicolons_or_commas(text):
    rows = [row.cells for row in read_rows(text)]

    assert rows == [["1", "a, b", "x@y"], ["2", "c", ""]]


def test_read_rows_numbers_lines_and_trims_what_nobody_can_see():
    assert read_rows("\n\u00a0a\u200b\t b \n,") == [PastedRow(2, ["a", "b"]), PastedRow(3, [","])]


def test_read_rows_reads_line_breaks_within_quotation_marks():
    assert read_rows('"a\nb"\tc\nd\te')[0].cells == ["a\nb", "c"]


@each("text", ['a,b\n"c,d\ne,f\n', 'a,b\n"c"d,e\nf,g'])
def test_read_rows_reports_quotation_marks_that_are_missing_or_out_of_place(text):
    with pytest.raises(PastedError, match=r"Line [23] can't be read. Is a quotation mark missing"):
        read_rows(text)


def test_read_rows_takes_a_semicolon_in_a_note_as_text():
    [row] = read_rows("Acme, 0x1, VIP; call first")

    assert row.cells == ["Acme", "0x1", "VIP; call first"]


@each("sign", "\v\f\x1c\x85\u2028")
def test_read_rows_leaves_a_forbidden_character_in_its_cell(sign):
    assert read_rows(f"Acme{sign}Ltd\t0x1")[0].cells == [f"Acme{sign}Ltd", "0x1"]


def test_name_cells_reads_titles_in_any_order_and_spelling():
    block = name_cells(read_rows("E-Mail\tOther\t No.\nx@y\tz\t7"), [NUMBER, MAIL])

    assert block.rows == [(2, {"mail": "x@y", "number": "7"})]
    assert block.unused == ["“Other”"]


def test_name_cells_recognises_columns_by_most_of_their_cells():
    text = "a\t1\tx@y\tmore\nb\tnone\tz@y\t\nc\t3\t\t"

    block = name_cells(read_rows(text), [NUMBER, MAIL, TEXT])

    assert block.rows[1] == (2, {"text": "b", "number": "none", "mail": "z@y"})
    assert block.unused == ["column 4"]


def test_name_cells_takes_a_first_row_with_data_as_a_row():
    block = name_cells(read_rows("text\t5"), [NUMBER, TEXT])

    assert block.rows == [(1, {"text": "text", "number": "5"})]


def test_name_cells_of_nothing_is_empty():
    assert name_cells([], [NUMBER]).rows == []
