"""What a browser tab keeps on the server: it outlives the page that started it, not the tab.

Every page says when it opens which tab it is in, by an id that the tab keeps (see shell.js), and says goodbye when it is left; a connection that is
lost counts as a goodbye, too. GRACE seconds after the last page of a tab has gone, what the tab keeps is closed and let go: whoever walks from
one page to another finds it again, and nothing computes for nobody.
"""

import threading
from typing import Protocol

GRACE = 10.0  # seconds from one page of a tab to the next
LONGEST = 64  # characters of a tab's id


class Kept(Protocol):
    """What a tab can keep."""

    def close(self) -> None:
        """Stop for good, and let go of everything."""


class Tab:
    """The pages of one browser tab that are open now (one, or none for a moment), and what it keeps by name."""

    def __init__(self, id: str):
        self.id, self.pages, self.kept, self.timer = id, set(), {}, None

    def keep(self, name: str, what: Kept) -> None:
        """Keep this under the name; what was there before is closed."""
        with _turn:
            before, self.kept[name] = self.kept.get(name), what
            gone = _tabs.get(self.id) is not self  # closed while this was made
        if before is not None and before is not what:
            before.close()
        if gone:
            what.close()

    def get(self, name: str) -> Kept | None:
        return self.kept.get(name)


_tabs: dict[str, Tab] = {}
_turn = threading.Lock()


def arrive(id: str, page: object) -> Tab:
    """A page has opened in the tab of that id."""
    with _turn:
        tab = _tabs.setdefault(id[:LONGEST], Tab(id[:LONGEST]))
        tab.pages.add(page)
        if tab.timer:
            tab.timer.cancel()
            tab.timer = None
    return tab


def leave(tab: Tab, page: object) -> None:
    """A page of the tab has been left, or lost; to say so twice does no harm."""
    with _turn:
        tab.pages.discard(page)
        if tab.pages or tab.timer or _tabs.get(tab.id) is not tab:
            return
        if not tab.kept:
            del _tabs[tab.id]
            return
        tab.timer = threading.Timer(GRACE, _close, (tab,))
        tab.timer.daemon = True
        tab.timer.start()


def _close(tab: Tab) -> None:
    with _turn:
        if tab.pages or _tabs.get(tab.id) is not tab:
            return
        del _tabs[tab.id]
        kept, tab.kept, tab.timer = list(tab.kept.values()), {}, None
    for what in kept:
        what.close()


class Attendance:
    """Of one visitor's page: hears from the browser which tab it is in, and tells `session.joined(tab)`, if there is such a thing, by way of
    `session.later`: a message comes without the document's lock.
    """

    def __init__(self, session):
        self.session, self.heard, self.tab = session, session.view.heard, None
        session.view.heard = self.hear

    def hear(self, message) -> None:
        """{"tab": id}: opened; {"tab": ""}: left; everything else is the page's. Nothing in it is trusted."""
        if not (isinstance(message, dict) and isinstance(message.get("tab"), str)):
            self.heard(message)
            return
        self.end()
        if message["tab"]:
            self.tab = arrive(message["tab"], self)
            if hasattr(self.session, "joined"):
                self.session.later(self.session.joined, self.tab)

    def end(self) -> None:
        """The page has gone."""
        if self.tab is not None:
            leave(self.tab, self)
            self.tab = None
