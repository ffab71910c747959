"""What all tests share: one thread a BLAS call, reproducible examples, and where Chromium is."""

import functools
import gc
import importlib.util
import logging
import os
import shutil
from collections import Counter

import hypothesis
import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when NumPy is imported; the kernels' own pool is not concerned
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

hypothesis.settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("reproducible")

collect_ignore_glob = ["bench_*.py"]  # scripts, run by `make bench`

BROWSER_REQUIRED = bool(os.environ.get("LAMBDASCAPE_REQUIRE_BROWSER"))


@functools.cache
def find_chromium() -> str | None:
    """The machine's Chromium: `$LAMBDASCAPE_CHROMIUM`, or one of its usual names."""
    names = (os.environ.get("LAMBDASCAPE_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, filter(None, names)) if path), None)


def no_browser() -> str | None:
    """Why tests marked `browser` cannot run here, if they cannot."""
    if find_chromium() is None:
        return "no Chromium: install it (Debian: apt-get install chromium) or name it in LAMBDASCAPE_CHROMIUM"
    if importlib.util.find_spec("playwright") is None:
        return "no Playwright: pip install -e '.[test]'"
    return None


@pytest.fixture(scope="session")
def compiled():
    """A function: how many specialisations of kernels exist in this process."""
    from numba.core.dispatcher import Dispatcher

    # type(), not isinstance(): torch holds objects that warn when they are asked for their __class__
    return lambda: sum(len(kernel.signatures) for kernel in gc.get_objects() if issubclass(type(kernel), Dispatcher))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; for tests marked `browser`."""
    return find_chromium()


@pytest.fixture(scope="session")
def site():
    """The server as users start it; for tests marked `browser`."""
    from test_page import serving

    from dynamics.warm import warm

    warm()  # as `make serve` does before
    with serving() as (site, _):
        yield site


@pytest.fixture(scope="session")
def inside():
    """The same script served from this process, whose objects can be counted; sessions end soon after their window closes."""
    import panel as pn
    from test_page import ROOT, Site, free_port

    logging.getLogger("panel").setLevel(logging.WARNING)  # pytest keeps what is logged, and with it the documents that it speaks of:
    logging.getLogger("bokeh").setLevel(logging.CRITICAL)  # an error's traceback, too, such as that of a value told after its figure has gone
    site = Site(free_port())
    server = pn.serve(
        {"serve": str(ROOT / "serve.py")},
        port=site.port,
        server_id="inside",
        threaded=True,
        show=False,
        verbose=False,
        unused_session_lifetime_milliseconds=10_000,  # it counts from the page, too, to its connection: on a slow machine that is not at once
        check_unused_sessions_milliseconds=200,
    )
    site.wait()
    site.tornado = pn.state._servers["inside"][0]._tornado
    yield site
    server.stop()


@pytest.fixture(scope="session")
def browser(chromium, tmp_path_factory):
    """The one browser of all tests marked `browser`, with a profile: it keeps compiled scripts, which private windows parse anew each time."""
    from playwright.sync_api import expect, sync_playwright
    from test_page import FLAGS, PATIENCE

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        profile = playwright.chromium.launch_persistent_context(tmp_path_factory.mktemp("profile"), executable_path=chromium, args=FLAGS)
        yield profile.browser
        profile.close()


def pytest_collection_modifyitems(items):
    """Files that open many pages come first: they take the longest, and at the end the other processes would have nothing to do."""
    opened = Counter(item.path for item in items if item.get_closest_marker("browser"))
    items.sort(key=lambda item: -opened[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.get_closest_marker("browser") and (reason := no_browser()):
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where browser tests are required, one that would skip, for whatever reason, fails."""
    report = yield
    if BROWSER_REQUIRED and report.skipped and item.get_closest_marker("browser"):
        report.outcome = "failed"
        report.longrepr = f"required here, but skipped: {call.excinfo.value if call.excinfo else report.longrepr}"
    return report
