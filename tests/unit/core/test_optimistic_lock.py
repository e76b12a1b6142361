import pytest

from pipelabs.core.errors import Stale
from pipelabs.core.optimistic_lock import reject_stale
from tests.each import each


@pytest.mark.parametrize("seen", [None, 3])
def test_who_saw_what_is_stored_or_asks_for_nothing_may_change_it(seen):
    reject_stale("The client", 3, seen)


@each("seen", [0, 2, 4])
def test_who_saw_another_version_is_told_both(seen):
    with pytest.raises(Stale, match=f"The client has changed: .* version 3, not {seen}") as found:
        reject_stale("The client", 3, seen)

    assert found.value.facts == {"version": str(seen), "stored": "3"}
