from pipelabs.activity.reasons import LEASE_ENDS, PROBE_FAILURES
from pipelabs.activity.sentences import TOKEN, UNKNOWN
from pipelabs.activity.words import STATUS_VERBS, WORDS, Group, events_by_group
from pipelabs.audit.events import Event
from pipelabs.models import LeaseEnd
from pipelabs.vault.probe.report import Failure


def test_every_event_has_a_group_a_name_and_a_sentence():
    assert set(WORDS) == set(Event)
    assert all(words.name and words.sentence for words in WORDS.values())


def test_events_have_different_names():
    names = [words.name for words in WORDS.values()]

    assert len(set(names)) == len(names)


def test_events_by_group_has_each_event_once():
    grouped = events_by_group()

    assert list(grouped) == list(Group)
    assert sorted(event for rows in grouped.values() for event, _ in rows) == sorted(Event)


def test_every_end_of_a_lease_has_words():
    assert set(LEASE_ENDS) == set(LeaseEnd)
    assert not any("_" in words for words in LEASE_ENDS.values())


def test_every_failure_of_a_probe_has_words():
    assert set(PROBE_FAILURES) == set(Failure)
    assert not any("_" in words for words in PROBE_FAILURES.values())


def test_sentences_are_templates():
    verbs = [verb for statuses in STATUS_VERBS.values() for verb in statuses.values()]
    for sentence in [*(words.sentence for words in WORDS.values()), *verbs]:
        assert "".join(token[0] for token in TOKEN.finditer(sentence)) == sentence
        names = [token[2] for token in TOKEN.finditer(sentence) if token[2] and not token[1]]
        assert set(names) <= set(UNKNOWN), sentence
        assert sentence.count("[") == sentence.count("]")
