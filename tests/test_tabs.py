"""What a browser tab keeps on the server lives as long as the tab: tested with pages that come and go."""

import time
from types import SimpleNamespace

import pytest

from app import tabs


class Thing:
    """Something that is kept, and knows when it was closed."""

    closed = 0

    def close(self):
        self.closed += 1


class Page:
    """A session with a view, and the tab that it was told of."""

    def __init__(self):
        self.view, self.said, self.tab = self, [], None
        self.heard = self.said.append

    def joined(self, tab):
        self.tab = tab

    def later(self, function, *args):
        function(*args)


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(tabs, "GRACE", 0.01)
    yield
    assert not tabs._tabs, "a tab was left over"


@pytest.fixture
def grace_ends(monkeypatch):
    """A function that lets GRACE pass for all who wait for it; until then it lasts, however slow the machine."""
    waiting = []

    class Timer:
        def __init__(self, seconds, function, args):
            self.end = lambda: function(*args)
            assert seconds == tabs.GRACE

        def start(self):
            waiting.append(self)

        def cancel(self):
            waiting.remove(self)

    def end():
        while waiting:
            waiting.pop().end()

    monkeypatch.setattr(tabs, "threading", SimpleNamespace(Timer=Timer))
    return end


def opened(id="one") -> tuple[tabs.Attendance, Page]:
    page = Page()
    attendance = tabs.Attendance(page)
    page.view.heard({"tab": id})
    return attendance, page


def closed(thing: Thing):
    until = time.monotonic() + 60  # seconds: only what hangs takes so long
    while not thing.closed and time.monotonic() < until:
        time.sleep(0.01)
    assert thing.closed == 1 and not tabs._tabs


def test_what_is_kept_is_found_on_the_next_page_of_the_same_tab_and_in_no_other(grace_ends):
    first, page = opened()
    thing = Thing()
    page.tab.keep("race", thing)
    first.end()
    second, back = opened()
    grace_ends()
    assert back.tab.get("race") is thing and not thing.closed
    other, stranger = opened("two")
    assert stranger.tab.get("race") is None
    second.end(), other.end()
    assert not thing.closed
    grace_ends()
    closed(thing)


def test_it_is_closed_a_little_after_the_last_page_has_gone_and_not_before(grace_ends):
    first, page = opened()
    second, _ = opened()  # a tab that was duplicated has two pages
    thing = Thing()
    page.tab.keep("race", thing)
    first.end()
    grace_ends()
    assert not thing.closed
    second.end()
    second.end()  # the message and the lost connection both say so
    assert not thing.closed
    grace_ends()
    closed(thing)


def test_a_goodbye_by_message_counts_and_one_who_comes_back_is_welcome(grace_ends):
    attendance, page = opened()
    thing = Thing()
    page.tab.keep("race", thing)
    page.view.heard({"tab": ""})
    page.view.heard({"tab": "one"})
    grace_ends()
    assert not thing.closed
    page.view.heard({"tab": ""})
    grace_ends()
    closed(thing)
    attendance.end()


def test_a_new_thing_of_a_name_closes_the_old_one():
    attendance, page = opened()
    old, new = Thing(), Thing()
    page.tab.keep("race", old)
    page.tab.keep("race", new)
    page.tab.keep("race", new)
    assert (old.closed, new.closed) == (1, 0)
    attendance.end()
    closed(new)
    assert old.closed == 1


def test_what_comes_too_late_for_its_tab_is_closed_at_once():
    attendance, page = opened()
    early = Thing()
    page.tab.keep("race", early)
    attendance.end()
    closed(early)
    late = Thing()
    page.tab.keep("race", late)
    assert late.closed == 1


def test_a_tab_that_keeps_nothing_is_forgotten_at_once():
    attendance, _ = opened()
    attendance.end()
    assert not tabs._tabs


def test_other_messages_reach_the_page_and_nonsense_does_no_harm():
    attendance, page = opened("x" * 1000)
    assert len(page.tab.id) == tabs.LONGEST
    for message in ({"set": {"lr": "1"}}, {"tab": 3}, {"tab": None}, "tab", None, 7):
        attendance.hear(message)
    assert page.said == [{"set": {"lr": "1"}}, {"tab": 3}, {"tab": None}, "tab", None, 7]
    attendance.end()
