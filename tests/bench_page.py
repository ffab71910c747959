"""How long the page takes from a slider to the repaint, and from an address to the first picture; what a visitor costs.

`make bench`, or `python tests/bench_page.py`, or with the names of some parts, such as `trainings`. Wall-clock times in headless Chromium on this
machine, so they mean something on idle cores only; the load is printed. Medians. "drag": the next move comes while the last picture is just
painted; "rest": when all that belongs to it is there.
"""

import os
import pathlib
import statistics
import sys
import time
from dataclasses import replace
from itertools import pairwise
from urllib.parse import urlencode

import numpy as np
from conftest import find_chromium
from playwright.sync_api import sync_playwright
from test_page import FLAGS, LANDSCAPE, Visitor, serving

from app.escape import EscapeLab, Sweeping
from app.exact import exact
from app.geometry import geometry
from app.landscapelab import Lab
from app.picture import picture, results
from dynamics import NGD, Simulation
from dynamics.warm import warm
from landscapes import DoubleWell, parse

MOVES = 21  # the first is thrown away
VISITORS = 20
CLASS = 10
PAUSE = {"drag": 0.03, "rest": 2.5}  # seconds after the repaint

# before the page's own scripts: note when frames go out and come in, and how large they are
SPY = """
window.frames_in = []; window.frames_out = []
const Plain = WebSocket
window.WebSocket = class extends Plain {
  constructor(...all) {
    super(...all)
    this.addEventListener("message", ({data}) => frames_in.push([performance.now(), data.byteLength ?? data.length]))
  }
  send(data) { frames_out.push(performance.now()); super.send(data) }
}
"""

# one move of a slider: milliseconds to the message, to the first large frame that comes back, to the last, to the end of the drawing code, to the
# paint; bytes, frames
MOVE = """async ([name, by]) => {
  const lab = document.lab, slider = lab.querySelector(`input[type=range][name="${name}"]`), before = lab.dataset.drawn
  frames_in.length = frames_out.length = 0
  const drawn = new Promise(done => {
    const watcher = new MutationObserver(() => {
      if (lab.dataset.drawn === before) return
      watcher.disconnect()
      const time = performance.now(), seen = frames_in.slice()
      requestAnimationFrame(() => setTimeout(() => done([time, performance.now(), seen])))
    })
    watcher.observe(lab, {attributes: true})
  })
  const begun = performance.now()
  slider.value = +slider.value + by
  slider.dispatchEvent(new Event("input", {bubbles: true}))
  const [drew, painted, seen] = await drawn
  const big = seen.find(([, size]) => size > 5000) ?? seen[0]
  const bytes = seen.reduce((sum, [, size]) => sum + size, 0)
  return [frames_out[0] - begun, big[0] - begun, seen.at(-1)[0] - begun, drew - begun, painted - begun, bytes, seen.length]
}"""

SCRUB = """async frames => {
  const lab = document.lab, scrub = lab.querySelector(".scrub"), times = []
  for (let i = 0; i < frames; i++) {
    await new Promise(done => requestAnimationFrame(done))
    const begun = performance.now()
    scrub.value = (i * 37) % 200
    scrub.dispatchEvent(new Event("input", {bubbles: true}))
    const code = performance.now()
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)))
    times.push([code - begun, performance.now() - begun])
  }
  return times
}"""

# of a page on networks: one move of a slider: milliseconds until the address has the new value and the words or status that follow are there, and
# until they are painted
NETWORK_MOVE = """async (lab, [name, by, place]) => {
  const slider = lab.querySelector(`input[type=range][name="${name}"]`), words = () => place && lab.querySelector(place).textContent
  const address = location.search, said = words(), begun = performance.now()
  const answered = new Promise(done => new MutationObserver((_, watcher) => {
    if (location.search === address || (place && words() === said)) return
    watcher.disconnect()
    const time = performance.now()
    requestAnimationFrame(() => setTimeout(() => done([time - begun, performance.now() - begun])))
  }).observe(lab, {attributes: true, childList: true, subtree: true, characterData: true}))
  slider.value = +slider.value + by
  slider.dispatchEvent(new Event("input", {bubbles: true}))
  return answered
}"""

# for so long: [time of each update of a figure's source], [time of each animation frame]
WATCH = """async ([name, time]) => {
  const updates = [], frames = [], source = Bokeh.documents.flatMap(doc => [...doc._all_models.values()]).find(model => model.name === name)
  const note = () => updates.push(performance.now()), end = performance.now() + time
  source.properties.data.change.connect(note)
  while (performance.now() < end) frames.push(await new Promise(requestAnimationFrame))
  source.properties.data.change.disconnect(note)
  return [updates, frames]
}"""


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def row(name: str, *values: float, notes: str = "") -> None:
    print(f"{name:<34}" + "".join(f"{value:>11.1f}" for value in values) + f"   {notes}", flush=True)


def head(*names: str) -> None:
    print(" " * 34 + "".join(f"{name:>11}" for name in names))


def medians(rows) -> list[float]:
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def compute(name: str) -> float:
    """Milliseconds of `results` and `picture` for a draft, in this process."""
    times = []
    for i in range(MOVES):
        run = Lab().run
        run = replace(run, rule=replace(run.rule, lr=0.02 + 1e-4 * i)) if name == "lr" else replace(run, landscape=DoubleWell(1.8 + 0.001 * i, 1, 2))
        state = replace(Lab(), run=run)
        begun = time.perf_counter()
        picture(state, results(state, 2000))
        times.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(times[1:])


def cpu(process) -> float:
    """CPU seconds of another process so far."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process) -> float:
    """MB in memory of another process."""
    return int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def sliders(browser) -> None:
    title("From a slider to the repaint, ms (target: 80 from rest to paint on two idle cores)")
    head("paint", "worst", "compute", "server+wire", "receive", "draw", "paint", "kB", "frames")
    with serving() as (site, process):
        window = Visitor(browser, site.home, own=True, motion=True)
        window.page.add_init_script(SPY)
        window.open()
        window.page.wait_for_timeout(3000)
        window.still()
        for name in ("lr", "w0"):
            own = compute(name)
            for how, pause in PAUSE.items():
                times, used = [], cpu(process)
                for i in range(MOVES):
                    times.append(window.page.evaluate(MOVE, [name, (3 if i % 2 else -3) * (1 + i % 3)]))
                    window.page.wait_for_timeout(1000 * pause)
                used = (cpu(process) - used) / MOVES
                out, first, last, drew, painted, size, frames = medians(times[1:])
                worst = max(one[4] for one in times[1:])
                row(f"{name}, {how}", painted, worst, own, first - out - own, last - first, drew - last, painted - drew, size / 1e3, frames,
                    notes=f"{1e3 * used:.0f} ms of server CPU a move")  # fmt: skip
        title("Scrubbing a run that is there, ms (in the browser alone)")
        head("code", "to paint")
        window.page.wait_for_timeout(3000)
        sent = len(window.sent)
        row("scrub", *medians(window.page.evaluate(SCRUB, 60)), notes=f"{len(window.sent) - sent} frames sent to the server")
        window.close()


def pieces(browser) -> None:
    title("Pieces of work between two turns of other visitors, ms of CPU (target: 30)")
    head("median", "worst", "all")
    well = replace(Lab(), run=replace(Lab().run, steps=3000, landscape=DoubleWell(1.83, 1, 2)), rival=NGD(lr=0.1, batch=20, damping=1.0))
    two = Lab(Simulation(parse("w1 - w2^2, w1*w2*1.01"), n=10, steps=2), None)
    made = Sweeping(EscapeLab())
    for name, work in (
        ("exact law, two optimisers", exact(well, np.arange(0, 3001, 15))),
        ("geometry, one variable", geometry(well)),
        ("geometry, two outputs", geometry(two)),
        ("escape rates, a map", iter(lambda: made.advance() and made.done, True)),
    ):
        times, begun = [], time.thread_time()
        for _ in work:
            times.append(1e3 * (time.thread_time() - begun))
            begun = time.thread_time()
        row(name, statistics.median(times), max(times), sum(times), notes=f"{len(times)} pieces")


def first_pictures(browser) -> None:
    title("From an address to the first picture, s (targets: cold 6, warm 2)")
    with serving() as (site, _):
        times = []
        for _ in range(6):
            window = Visitor(browser, site.home, own=True, motion=True)
            begun = time.perf_counter()
            window.page.goto(site.home + LANDSCAPE)
            window.page.wait_for_selector(".lab[data-drawn]")
            times.append(time.perf_counter() - begun)
            window.close()
    print(f"cold: server {site.ready:.2f} + page {times[0]:.2f} = {site.ready + times[0]:.2f};  warm: median {statistics.median(times[1:]):.2f}")


def visitors(browser) -> None:
    title(f"Memory of {VISITORS} visitors, MB (target: 6 a session, given back)")
    with serving("--unused-session-lifetime", "2000", "--check-unused-sessions", "500") as (site, process):

        def come_and_go(times: int, together: bool):
            windows, during = [], 0.0
            for _ in range(times):
                windows.append(Visitor(browser, site.home, own=True, motion=True).open())
                windows[-1].still()  # twenty playing at once would keep this machine busy
                during = memory(process)
                if not together:
                    windows.pop().close()
            for window in windows:
                window.close()
            time.sleep(4)
            return during

        come_and_go(3, False)
        base = memory(process)
        during = come_and_go(VISITORS, True)
        print(f"before {base:.0f}, all {VISITORS} open {during:.0f}: {(during - base) / VISITORS:.1f} a session; all closed {memory(process):.0f}")
        come_and_go(VISITORS, False)
        print(f"after {VISITORS} more, one after the other: {memory(process):.0f}")


def classroom(browser) -> None:
    title(f"{CLASS} visitors who all move a slider at once, s from a move to the repaint (target: 1; the {CLASS} browsers share these cores, too)")
    with serving() as (site, _):
        windows = [Visitor(browser, site.home, own=True) for _ in range(CLASS)]
        for window in windows:
            window.page.add_init_script(SPY)
            window.open()
        time.sleep(5)
        times = []
        for i in range(5):
            for window in windows:  # begun without waiting for its end
                window.page.evaluate(f"() => {{ document.moved = ({MOVE})(['lr', {3 if i % 2 else -3}]) }}")
            times += [window.page.evaluate("() => document.moved")[4] / 1e3 for window in windows]
            time.sleep(2)
        for window in windows:
            window.close()
    print(f"median {statistics.median(times):.2f}, worst {max(times):.2f}")


def trainings(browser) -> None:
    title("While a training runs: from a slider to the repaint, ms (target: 150 median)")
    head("answer", "paint", "worst", "server CPU")
    with serving() as (site, process):
        race = {"page": "networks", "net.hidden": "8", "data.size": "300", "batch": "4", "epochs": "1000", "look.count": "1"}
        chains = race | {"epochs": "1", "look.draws": "100000"}
        dln = {"page": "dln", "t.steps": "200000", "t.every": "100", "t.seed": "3"}
        for name, query, run, slider, place, figure in (
            ("networks, nothing runs: a.lr", race, "", "a.lr", "", ""),
            ("networks, training: a.lr", race, "run", "a.lr", "", "loss-batch-a"),
            ("networks, chains of λ̂: a.lr", chains, "run", "a.lr", "", ""),
            ("networks as it opens: a.lr", {"page": "networks", "epochs": "900", "look.count": "1"}, "run", "a.lr", "", "loss-batch-a"),
            ("deep linear, nothing runs: to λ", dln, "", "rank", ".says", ""),
            ("deep linear, training: to λ", dln, "run", "rank", ".says", "loss-run"),
        ):
            window = Visitor(browser, site.home, own=True, motion=True)
            window.page.goto(site.home + "?" + urlencode(query))
            lab = window.page.locator(".lab[data-drawn]")
            lab.wait_for()
            if run:
                window.page.locator(f"[data-action={run}]").click()
                window.page.wait_for_selector(".lab[data-running=true]")
            window.page.wait_for_timeout(2000)
            times, used, begun = [], cpu(process), time.perf_counter()
            for i in range(MOVES):
                times.append(lab.evaluate(NETWORK_MOVE, [slider, 1 if i % 2 else -1, place]))
                window.page.wait_for_timeout(200 + 37 * (i % 5))  # not in step with the pictures of the training
            busy = 100 * (cpu(process) - used) / (time.perf_counter() - begun)
            row(name, *medians(times[1:]), max(one[1] for one in times[1:]), busy, notes="CPU in % of a core")
            if figure:
                updates, frames = window.page.evaluate(WATCH, [figure, 4000])
                worst = [
                    max((later - earlier for earlier, later in pairwise(frames) if start <= earlier < end), default=0)
                    for start, end in pairwise(updates)
                ]
                every, frame = (statistics.median(later - earlier for earlier, later in pairwise(times)) for times in (updates, frames))
                print(
                    f"    at rest: a loss every {every:.0f}, a frame every {frame:.0f}; "
                    f"the longest frame between two losses: median {statistics.median(worst):.0f}, worst {max(worst):.0f}",
                    flush=True,
                )
            assert lab.get_attribute("data-running") == ("true" if run else "false"), "the training has ended before the last move"
            if run:
                window.page.locator("[data-action=stop]").click()  # else it goes on for a while, and the next one would share the cores with it
                window.page.wait_for_timeout(500)
            window.close()


def main() -> None:
    chromium = find_chromium()
    if not chromium:
        sys.exit("no Chromium: install it (Debian: apt-get install chromium) or name it in LAMBDASCAPE_CHROMIUM")
    parts = {"pieces": pieces, "sliders": sliders, "first": first_pictures, "trainings": trainings, "visitors": visitors, "classroom": classroom}
    chosen = sys.argv[1:] or list(parts)
    if unknown := set(chosen) - set(parts):
        sys.exit(f"{', '.join(sorted(unknown))}: no such part; choose from {', '.join(parts)}")
    warm()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (above some 0.3 the times below are too long)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in chosen:
            parts[name](browser)
        browser.close()
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
