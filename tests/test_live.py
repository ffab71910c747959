"""Latest wins: what a dragged slider costs, and in which order results and requests take turns."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app import live
from app.live import Latest

SOON = 60.0  # seconds within which something has to happen; it takes milliseconds, and on a busy machine some more: only what hangs takes so long


class Stop(Exception):
    """What a computation of these tests fails with."""


class Screen:
    """Collects what is published, and waits for it."""

    def __init__(self):
        self.results, self.times, self.changed = [], [], threading.Condition()

    def __call__(self, result):
        with self.changed:
            self.results.append(result)
            self.times.append(time.perf_counter())
            self.changed.notify_all()

    def until(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.results), SOON), self.results
            return list(self.results)


def until(condition):
    """Wait for something that nobody announces."""
    end = time.perf_counter() + SOON
    while not condition():
        assert time.perf_counter() < end, "it never happened"
        time.sleep(0.002)


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def latest(screen):
    """A function that makes a Latest, closed at the end."""
    made = []

    def make(work, **options):
        made.append(Latest(work, screen, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
        if isinstance(one.work, Gates):
            one.work.let(1000)


class Gates:
    """Work whose results (value, 0), (value, 1), ... each wait for `let()`; `begun` are the values that were ever started."""

    def __init__(self, results=1000):
        self.results, self.begun, self.gate, self.running = results, [], threading.Semaphore(0), threading.Event()

    def __call__(self, value):
        self.begun.append(value)
        for i in range(self.results):
            self.running.set()
            assert self.gate.acquire(timeout=SOON)
            self.running.clear()
            yield value, i

    def let(self, times=1):
        self.gate.release(times)


def test_all_results_of_a_request_are_published_in_order(screen, latest):
    latest(lambda value: iter([(value, i) for i in range(5)]))("a")
    assert screen.until(lambda seen: len(seen) == 5) == [("a", i) for i in range(5)]


def test_of_sixty_requests_during_a_computation_only_the_last_is_computed(screen, latest):
    work = Gates(results=1)
    ask = latest(work)
    ask(0)
    assert work.running.wait(SOON)
    for value in range(1, 61):
        ask(value)
    work.let(2)
    assert screen.until(lambda seen: len(seen) == 2) == [(0, 0), (60, 0)]
    assert work.begun == [0, 60]


@pytest.fixture
def alone(monkeypatch):
    """Nobody else, whom other tests of this process have left waiting."""
    monkeypatch.setattr(Latest, "hurried", set())


def test_what_a_slider_waits_for_comes_before_what_others_add_to_their_pictures(screen, latest, alone, monkeypatch):
    monkeypatch.setattr(live, "POLITE", 1000)
    fine, draft, seen = Gates(results=3), Gates(results=2), []
    first, second = latest(fine), latest(draft, slow=lambda result: result is not None)
    second.publish = seen.append
    first("a")
    fine.let(1)
    screen.until(lambda results: results == [("a", 0)])
    assert fine.running.wait(SOON)
    second("b")
    fine.let(2)  # what has begun is ended; what would come next waits
    screen.until(lambda results: results == [("a", 0), ("a", 1)])
    draft.let(1)
    until(lambda: seen == [("b", 0)])
    time.sleep(3 * live.GLANCE)  # it is on its way to the browser
    assert screen.results == [("a", 0), ("a", 1)]
    second.shown()
    screen.until(lambda results: ("a", 2) in results)


def test_nobody_waits_for_others_without_end_nor_for_who_has_left(screen, latest, alone, monkeypatch):
    fine = Gates(results=3)
    first, second, third = latest(fine), latest(Gates()), latest(Gates())
    second("never")
    third("never")
    first("a")
    fine.let(3)
    screen.until(lambda seen: len(seen) == 3)  # after POLITE seconds
    assert first.politeness <= 0
    monkeypatch.setattr(live, "POLITE", 1000)
    first("b")
    fine.let(3)
    until(lambda: first.phase == "resting")
    second.close()
    assert first.phase == "resting"
    third.close()
    screen.until(lambda seen: len(seen) == 6)
    assert Latest.hurried == set()


def test_a_newer_request_abandons_the_older_at_its_next_result_and_closes_its_generator(screen, latest):
    closed = threading.Event()
    gates = Gates(results=5)

    def work(value):
        try:
            yield from gates(value)
        finally:
            if value == "old":
                closed.set()

    ask = latest(work)
    ask("old")
    gates.let(3)
    screen.until(lambda seen: len(seen) == 3)
    assert gates.running.wait(SOON)  # within its fourth result
    ask("new")
    gates.let(1 + 5)
    assert screen.until(lambda seen: ("new", 4) in seen) == [("old", i) for i in range(4)] + [("new", i) for i in range(5)]
    assert closed.wait(SOON)


def test_never_more_than_one_computation_is_in_flight_for_a_visitor(screen, latest):
    inside, most, lock = [0], [0], threading.Lock()

    def work(value):
        for i in range(3):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.001)
            with lock:
                inside[0] -= 1
            yield value, i

    ask = latest(work)
    for value in range(40):
        ask(value)
        time.sleep(0.002)
    screen.until(lambda seen: seen[-1:] == [(39, 2)])
    assert most[0] == 1
    values = [value for value, _ in screen.results]
    assert values == sorted(values)  # never an older one after a newer


def test_a_float_is_a_rest_that_is_not_published_and_that_a_newer_request_cuts_short(screen, latest):
    def work(value):
        yield value, "coarse"
        yield 0.15 if value in (1, 5) else 10 * SOON
        yield value, "fine"

    ask = latest(work)
    ask(1)
    assert screen.until(lambda seen: len(seen) == 2) == [(1, "coarse"), (1, "fine")]
    assert screen.times[1] - screen.times[0] >= 0.15
    for value in (2, 3, 4):
        ask(value)
        screen.until(lambda seen, value=value: seen[-1] == (value, "coarse"))
        until(lambda: ask.phase == "resting")
    ask(5)
    screen.until(lambda seen: seen[-1] == (5, "coarse"))  # none of the three has sat its rest out
    screen.until(lambda seen: seen[-1] == (5, "fine"))
    assert [value for value, kind in screen.results if kind == "fine"] == [1, 5]


def test_after_a_slow_result_the_next_waits_until_it_is_shown(screen, latest, monkeypatch):
    monkeypatch.setattr(live, "ANSWER", 60)
    ask = latest(lambda value: iter([(value, i) for i in range(3)]), slow=lambda result: isinstance(result, tuple))
    ask("a")
    screen.until(lambda seen: len(seen) == 1)
    until(lambda: ask.phase == "showing")
    time.sleep(0.05)
    assert len(screen.results) == 1
    ask("b")  # newer, but the browser is still drawing
    time.sleep(0.05)
    assert screen.results == [("a", 0)]
    ask.shown()
    assert screen.until(lambda seen: len(seen) == 2)[1] == ("b", 0)


def test_a_newer_request_that_comes_while_a_slow_result_is_computed_waits_for_the_browser_too(screen, latest, monkeypatch):
    monkeypatch.setattr(live, "ANSWER", 60)
    work = Gates(results=1)
    ask = latest(work, slow=lambda result: True)
    ask("a")
    assert work.running.wait(SOON)
    ask("b")
    work.let(2)
    screen.until(lambda seen: seen == [("a", 0)])
    time.sleep(0.05)
    assert screen.results == [("a", 0)] and work.begun == ["a"]
    until(lambda: ask.phase == "showing")
    ask.shown()
    screen.until(lambda seen: seen == [("a", 0), ("b", 0)])


def test_a_browser_that_never_answers_is_waited_for_only_so_long(screen, latest, monkeypatch):
    monkeypatch.setattr(live, "ANSWER", 0.1)
    latest(lambda value: iter([1, 2, 3]), slow=lambda result: True)("a")
    screen.until(lambda seen: seen == [1, 2, 3])
    assert min(b - a for a, b in zip(screen.times, screen.times[1:], strict=False)) >= 0.1


def test_answers_nobody_waits_for_change_nothing(screen, latest):
    work = Gates(results=2)
    ask = latest(work)
    ask.shown()
    assert ask.phase == "free"
    ask("a")
    assert work.running.wait(SOON)
    ask.shown()
    assert ask.phase == "busy"
    work.let(2)
    screen.until(lambda seen: len(seen) == 2)


def test_after_closing_nothing_is_computed_published_or_kept(screen, latest):
    work = Gates()
    ask = latest(work)
    ask("a")
    work.let(2)
    screen.until(lambda seen: len(seen) == 2)
    assert work.running.wait(SOON)
    ask.close()
    work.let(5)  # the result in flight comes too late to start another
    time.sleep(0.05)
    assert len(screen.results) <= 3
    ask("b")
    ask.shown()
    time.sleep(0.05)
    assert "b" not in work.begun and ask.phase == "closed" and not list(ask.steps) and ask.wanted in (None, "b")


def test_work_that_finds_itself_stale_is_left_in_the_middle_of_a_piece(screen, latest):
    left = threading.Event()

    def work(value):
        while value == "old":
            if ask.stale:
                left.set()
                raise live.Abandoned
            time.sleep(0.001)
        yield value

    ask = latest(work)
    ask("old")
    until(lambda: ask.phase == "busy")
    time.sleep(0.02)
    assert not left.is_set()
    ask("new")
    assert screen.until(lambda seen: seen == ["new"]) and left.wait(SOON)  # and nothing was said about it


def test_a_page_that_cannot_be_told_of_a_failure_is_told_of_the_next_result(latest, screen, caplog):
    def fail(result):
        if isinstance(result, Exception):
            raise Stop("nobody hears")
        screen(result)

    def work(value):
        if value == "bad":
            raise Stop("on purpose")
        yield value

    ask = Latest(work, fail)
    ask("bad")
    until(lambda: ask.phase == "free")
    ask("good")
    assert screen.until(lambda seen: seen == ["good"])
    ask.close()
    assert "a failure could not be shown" in caplog.text


def test_closing_stops_a_rest(screen, latest):
    ask = latest(lambda value: iter([1, 10 * SOON, 2]))
    ask("a")
    screen.until(lambda seen: seen == [1])
    until(lambda: ask.phase == "resting")
    timer = ask.timer
    ask.close()
    timer.join(SOON)
    assert not timer.is_alive() and screen.results == [1]


def test_a_failure_is_published_logged_and_survived(screen, latest, caplog):
    def work(value):
        yield value
        if value == "bad":
            raise Stop("broken on purpose")
        yield value + "!"

    ask = latest(work)
    with caplog.at_level(logging.ERROR, "app.live"):
        ask("bad")
        seen = screen.until(lambda seen: len(seen) == 2)
    assert seen[0] == "bad" and isinstance(seen[1], Stop)
    assert "broken on purpose" in caplog.text
    until(lambda: ask.phase == "free")
    ask("good")
    assert screen.until(lambda seen: len(seen) == 4)[2:] == ["good", "good!"]


def test_the_end_of_the_process_is_no_failure(screen, latest, caplog):
    """Kernels' threads take no more work then; pages still compute for who was there."""

    def work(request):
        yield request
        raise RuntimeError("cannot schedule new futures after shutdown")

    with caplog.at_level(logging.WARNING):
        one = latest(work)
        one("a")
        until(lambda: one.phase == "closed")
    assert screen.results == ["a"] and caplog.records == []


def test_a_failure_does_not_swallow_the_request_that_came_meanwhile(screen, latest):
    gate, started = threading.Event(), threading.Event()

    def work(value):
        if value == "bad":
            started.set()
            gate.wait(SOON)
            raise Stop
        yield value

    ask = latest(work)
    ask("bad")
    assert started.wait(SOON)
    ask("good")
    gate.set()
    assert screen.until(lambda seen: "good" in seen)[-1] == "good"


def test_visitors_take_turns_result_by_result(screen, latest, monkeypatch):
    with ThreadPoolExecutor(1) as one:
        monkeypatch.setattr(live, "jobs", lambda: one)
        monkeypatch.setattr(live, "POLITE", 0)
        gate = threading.Event()
        one.submit(gate.wait, SOON)
        for name in "ab":
            latest(lambda value: iter([value] * 10))(name)
        gate.set()
        seen = "".join(screen.until(lambda seen: len(seen) == 20))
    assert seen == "ab" * 10


def test_a_drag_of_sixty_events_over_a_slow_computation_settles_after_two_of_them(screen, latest):
    """app.md, section 1: synchronous, such a drag ended 60 computations behind."""

    def work(value):
        time.sleep(0.02)
        yield value

    ask = latest(work)
    begun = time.perf_counter()
    for value in range(60):
        ask(value)
        time.sleep(0.003)
    dragged = time.perf_counter() - begun
    screen.until(lambda seen: seen[-1] == 59)
    assert len(screen.results) <= dragged / 0.02 + 2


def test_while_the_visitor_is_away_nothing_further_is_computed_and_then_it_goes_on(screen, latest, monkeypatch):
    monkeypatch.setattr(live, "AWAY", 0.05)
    here, gates = threading.Event(), Gates(results=6)
    here.set()
    ask = latest(gates, present=here.is_set)
    ask("a")
    gates.let(2)
    screen.until(lambda seen: len(seen) == 2)
    here.clear()
    gates.let(1)  # the piece that was begun
    screen.until(lambda seen: len(seen) == 3)
    gates.let(3)
    time.sleep(0.3)
    assert len(screen.results) == 3
    here.set()
    assert screen.until(lambda seen: len(seen) == 6)[-1] == ("a", 5) and gates.begun == ["a"]


def test_at_the_end_of_the_process_a_late_wish_is_closed_without_a_word(screen, latest, monkeypatch):
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    monkeypatch.setattr(live, "jobs", lambda: ended)
    ask = latest(lambda value: iter([value]))
    ask(1)
    assert ask.stale and ask.phase == "closed" and screen.results == []
