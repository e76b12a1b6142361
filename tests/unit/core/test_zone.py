from pipelabs.core.zone import find_zone
from tests.each import each


@each("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_find_zone_returns_a_zone_of_the_iana_database(name):
    assert str(find_zone(name)) == name


@each("name", ["", "Europe", "Nowhere/Atlantis", "../../etc/passwd", "/etc/passwd", "x" * 80, "Ü"])
def test_find_zone_returns_none_for_any_other_text(name):
    assert find_zone(name) is None
