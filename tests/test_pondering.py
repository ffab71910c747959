"""A polynomial that takes long holds up its own visitor's messages, in their order, and nobody's thread."""

import queue
import threading

import pytest

from app import pondering
from app.pondering import Ponderer, polynomial_in

SLOW = {"set": {"landscape": "Polynomial", "text": "w^2*(w-1)^3"}}


@pytest.fixture
def server(monkeypatch):
    """What is delivered to the server's thread: here this one, when the test says so."""
    calls = queue.Queue()
    monkeypatch.setattr(pondering, "deliver", lambda session, function, *args: calls.put((function, args)))

    def turn():
        function, args = calls.get(timeout=60)
        function(*args)

    return turn


def test_messages_wait_behind_a_polynomial_that_is_looked_at_in_another_thread(server, monkeypatch):
    looked, go = [], threading.Event()

    def parse(text, of):
        assert go.wait(60)
        looked.append((text, of, threading.current_thread()))

    monkeypatch.setattr(pondering, "parse", parse)
    heard = []
    ponderer = Ponderer(None, lambda message: heard.append((message, threading.current_thread())))
    first, later = {"set": {"lr": "0.1"}}, [{"set": {"lr": "0.2"}}, {"open": "?text=w^4&of=K"}, {"action": "reset"}]
    for message in [first, SLOW, *later]:
        ponderer.hear(message)
    assert [message for message, _ in heard] == [first] and not looked, "nothing here has waited for the polynomial"
    go.set()
    server()
    assert [message for message, _ in heard] == [first, SLOW, later[0]]
    server()
    assert [message for message, _ in heard] == [first, SLOW, *later] and not ponderer.waiting
    assert [found[:2] for found in looked] == [("w^2*(w-1)^3", "Q"), ("w^4", "K")]
    assert {thread for _, thread in heard} == {threading.current_thread()} and threading.current_thread() not in {found[2] for found in looked}


@pytest.mark.parametrize("text", ["w^(", "__import__('os')", "w" * 10**6, "(" * 10**5])
def test_what_is_no_polynomial_goes_on_to_the_page_which_says_why(server, text):
    heard = []
    ponderer = Ponderer(None, heard.append)
    ponderer.hear(message := {"set": {"text": text}})
    server()
    assert heard == [message]


def test_a_message_that_breaks_the_page_does_not_hold_up_the_next(server, caplog):
    heard = []

    def hear(message):
        heard.append(message)
        if message == SLOW:
            raise RuntimeError("broken on purpose")

    ponderer = Ponderer(None, hear)
    for message in (SLOW, {"action": "reset"}):
        ponderer.hear(message)
    server()
    assert heard == [SLOW, {"action": "reset"}] and "broken on purpose" in caplog.text


def test_only_texts_of_polynomials_are_looked_at():
    assert polynomial_in({"set": {"m.text": "w^2"}}) == ("w^2", "Q")
    for strange in (None, 3, [], {"set": 3}, {"set": {"lr": "1"}}, {"open": 5}, {"open": "?lr=3"}, {"action": "text"}):
        assert polynomial_in(strange) is None
