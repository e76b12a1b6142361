import pytest

from pipelabs.core.errors import Stale
from pipelabs.core.optimistic_lock import reject_stale


@pytest.mark.parametrize("seen", [None, 3])
def test_reject_stale_allows_the_stored_version_and_no_version(seen):
    reject_stale("The client", 3, seen)


@pytest.mark.parametrize("seen", [0, 2, 4])
def test_reject_stale_names_both_versions(seen):
    with pytest.raises(Stale, match=f"The client has changed: .* version 3, not {seen}") as caught:
        reject_stale("The client", 3, seen)

    assert caught.value.facts == {"version": str(seen), "stored": "3"}
