"""Deep linear networks: exact learning coefficients as sliders move, and saddle-to-saddle training with lambda-hat beside exact lines."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app import tabs
from app.dlnexact import Cloud, Curves, Exact, cloud, curves, exact
from app.dlnfigures import CELLS, TRAINED
from app.dlnlab import EXAMPLES, START, controls, decode, encode
from app.dlnruns import Failed, Seen, Watch, course, duration, problem, seconds, touch
from app.dlntables import exact_table, trained_table
from app.dlnwords import DRAWN, PROVEN, SADDLE, chain, numbers, says, text_of
from app.live import IDLE, Asked
from app.page import Session as Base
from nets.dln import learning_coefficient
from nets.saddle import SaddleFrame, SaddleToSaddle

SOON = 30  # seconds: a training that takes less begins when the page opens
SHOWN = 10  # singular values in the picture
NUMBERS = 3  # multiplicities that stand beside a curve: more run together in a hall's large letters
ROOM = 0.12  # of a figure's height, that the label of a level needs there
PICTURES = 40  # of a training that is recorded, about
WORDS = "p + p { margin-top: .55em; } :host { font-size: inherit; }"


class Table(NamedTuple):
    """The values beside each other, in Markdown."""

    text: str


def apart(levels: Sequence[float], ratio: float) -> list[float]:
    """Those of the descending levels that lie by this factor below the last one that was taken: their labels do not collide."""
    taken: list[float] = []
    for level in levels:
        if not taken or level * ratio <= taken[-1]:
            taken.append(level)
    return taken


class Session(Base):
    """One visitor's page on deep linear networks. What is exact follows the controls; a training goes on until it is done or stopped."""

    page = "dln"
    title = "Deep linear networks"
    cells = CELLS
    headings = ("In numbers", "What is proven", "From saddle to saddle")
    start = START
    examples = EXAMPLES
    examples_label = "Your own, or an example …"
    decode = staticmethod(decode)
    encode = staticmethod(encode)

    def __init__(self, query: dict[str, str]):
        self.given = "preset" in query or any(name.startswith("t.") for name in query)  # the address says which training
        self.watch, self.tab = Watch(), None
        self.view_of = query.get("view", "")  # the figures that a frame shows now, of those it has; empty for all
        super().__init__(query)

    def opened(self) -> None:
        self.watch.page = self
        for text in self.texts:
            text.stylesheets = [*text.stylesheets, WORDS]
        self.write(1, PROVEN)
        self.write(2, SADDLE)

    def joined(self, tab: tabs.Tab) -> None:
        """The browser tab is known: the training it has goes on here, and this page's outlives the page."""
        if not self.trained:
            return  # a frame that shows nothing of the tab's training leaves it alone
        self.tab, before = tab, tab.get(self.page)
        if isinstance(before, Watch) and before.course and before is not self.watch and (not self.given or before.course.run == self.value.training):
            self.watch.close()
            self.watch, before.page = before, self
            self.replace(replace(self.value, training=before.course.run))
            self.lines(before.course.run)
            self.draw(before.course.frames)
            self.tell()
            return
        tab.keep(self.page, self.watch)
        self.start_soon()  # not before: the tab may have one that goes on

    def start_soon(self) -> None:
        """Train, if that is quick, as soon as somebody sees it."""
        if self.tab and self.seen and self.watch.course is None and not problem(self.value.training) and seconds(self.value.training) <= SOON:
            self.train()

    def left(self) -> None:
        if self.tab is None:
            self.watch.close()
        elif self.watch.page is self:
            self.watch.page = None

    def controls(self, value):
        return controls(value, self.trained)

    def shape(self, value):
        return len(value.widths)

    def work(self, value, stale):
        """Numbers first, then curves; words once nothing moves. What no figure of the page shows is not computed."""
        found = exact(value)
        yield found
        if self.shows(*Curves._fields):
            yield curves(value)
        yield IDLE
        yield Table(numbers(found))
        if self.shows("cloud") and not len(self.sources["cloud-lam"].data["x"]):
            yield cloud()

    def changed(self, before) -> None:
        touch()
        self.latest(self.value)
        run, course = self.value.training, self.watch.course
        if self.trained and (course is None or (self.watch.phase != "running" and not course.frames)):
            self.lines(run)
        self.tell()

    @property
    def trained(self) -> bool:
        """Whether a figure of the training is on the page."""
        return self.shows(*TRAINED)

    @property
    def seen(self) -> bool:
        """Whether one of them is in view."""
        return self.trained and (not self.view_of or not set(TRAINED).isdisjoint(self.view_of.split(",")))

    def shows(self, *names: str) -> bool:
        """Whether one of these figures is on the page."""
        return any(name in self.plots for name in names)

    def hear(self, message) -> None:
        super().hear(message)
        if isinstance(message, dict) and isinstance(message.get("view"), str):
            self.view_of = message["view"]
            self.start_soon()
            self.tell()
        chosen = EXAMPLES.get(message.get("example")) if isinstance(message, dict) and isinstance(message.get("example"), str) else None
        if chosen and self.trained and (self.watch.course is None or self.watch.course.run != self.value.training):
            self.train()  # an example was asked for by name

    def act(self, action: str) -> None:
        if not self.trained:
            return
        watch, run = self.watch, self.value.training
        match action, watch.phase:
            case "run", _:
                self.train(fresh=watch.course is not None and watch.course.run == run)
            case "another", _:
                self.replace(replace(self.value, training=replace(run, seed=(run.seed + 1) % 2**31)))
                self.train()
            case "pause", "running":
                watch.stand("paused")
            case "continue", "paused":
                watch.go(watch.course)
            case "stop", "running" | "paused":
                watch.stand("stopped")
        self.tell()

    def train(self, fresh: bool = False) -> None:
        """Begin the training of the controls, or go on with it."""
        run = self.value.training
        if why := problem(run):
            self.view.notices = [why]
            return
        self.watch.go(course(run, fresh))
        self.lines(run)
        self.draw(self.watch.course.frames)
        self.tell()

    def show(self, result) -> None:
        match result:
            case Exact():
                self.show_exact(result)
            case Curves():
                self.view.hidden = [] if result.width else ["width"]
                self.legend(**{name: self.show_curve(name, rows) for name, rows in result._asdict().items() if rows})
            case Table(text):
                self.write(0, text)
            case Cloud(rows):
                x, lam, regular = np.array(rows, float).T
                self.fill("cloud-lam", x=x, y=lam)
                self.fill("cloud-regular", x=x, y=np.maximum(regular, 1))
                self.span("cloud", "x", 1.5, 1000)
                self.legend(cloud=[("exact", "λ"), ("b", "regular part alone"), ("words", "Most of the fall with depth is that of the rank")])
            case Seen():
                if result.course is self.watch.course:
                    self.draw(result.frames)
                    self.watch.left = result.left
                    if result.done:
                        self.watch.phase = "stopped" if result.course.error else "done"
                        self.view.notices = [result.course.error] if result.course.error else self.view.notices
            case Failed():
                self.watch.phase = "stopped"
                self.view.notices = ["The training failed; what was seen so far stays. Try other settings."]
        self.tell()

    def fill(self, name: str, **columns) -> None:
        """Nothing if it is there already: a figure that does not change is not painted again."""
        lists = {column: values.tolist() if isinstance(values, np.ndarray) else list(values) for column, values in columns.items()}
        if name in self.sources and dict(self.sources[name].data) != lists:
            super().fill(name, **lists)

    def table(self):
        """The training, one row an estimate; before there is one, the exact curve of lambda over depth."""
        course = self.watch.course
        return trained_table(course.frames) if course and course.frames else exact_table(self.value)

    def moment(self, result):
        return "" if self.trained else "exact"

    def record(self):
        """The training step by step, where its figures are on the page; what is exact is the same in all frames."""
        self.watch.latest = Asked()
        yield from super().record()
        run = self.value.training
        if not self.trained:
            return
        if why := problem(run):
            raise ValueError(why)
        self.train()
        going, count = self.watch.course, 0
        over = False
        while not over:
            count += 1 + run.steps // run.every // PICTURES
            while not going.done and len(going.frames) <= count:
                going.advance()
            if going.error:
                raise ValueError(going.error)
            frames, over = tuple(going.frames[:count]), count >= len(going.frames)
            self.show(Seen(going, frames, over))
            yield f"step {frames[-1].step:,}"

    # exact

    def show_exact(self, found: Exact) -> None:
        self.found = found
        value, widths = found.value, found.value.widths
        s, high = np.arange(len(widths)), max(widths)
        self.fill("net-bars", x=s, top=widths)
        edges = (s[:, None] + [-0.36, 0.36]).ravel()
        self.fill("net-best", x=edges, y=np.repeat(found.best.partial, 2))
        self.fill("net-here", x=edges, y=np.repeat(found.here.partial, 2))
        self.fill("net-rank", x=[-0.5, s[-1] + 0.5], y=[value.rank] * 2)
        few = len(widths) <= DRAWN
        self.fill("net-width", x=s if few else [], y=widths if few else [], text=[f"{h}" for h in widths] if few else [])
        lost = [(k + 0.5, sum(found.best.partial[k : k + 2]) / 2, f"−{d}") for k, d in enumerate(found.best.lost) if d and few]
        self.fill("net-lost", x=[at for at, _, _ in lost], y=[at for _, at, _ in lost], text=[text for _, _, text in lost])
        self.span("net", "x", -0.6, s[-1] + 0.6)
        self.span("net", "y", 0, high * 1.18)
        self.legend(
            net=[
                ("bayes", "width"),
                ("exact line", "rank left where λ is attained"),
                ("steep dash", "near your point"),
                ("bayes dots", f"rank {value.rank}"),
                *([("words", f"Layers lose {', '.join(map(str, found.best.lost))}")] if len(widths) <= DRAWN else []),
            ]
        )
        self.view.says = says(found)

    def show_curve(self, name: str, rows: list[tuple]) -> list[tuple[str, str]]:
        """A curve and its marks; its legend."""
        found = self.found
        value, hidden = found.value, found.value.widths[1:-1]
        x, lam, m, regular, parameters = map(np.array, zip(*rows, strict=True))
        half = parameters / 2
        self.fill(f"{name}-curve", x=x, lam=lam, regular=regular, half=half)
        few = len(x) <= 30
        self.fill(f"{name}-dots", x=x if few else [], lam=lam if few else [])
        now = {"depth": len(hidden), "rank": value.rank, "width": hidden[0] if hidden and len(set(hidden)) == 1 else None}[name]
        at = [] if now is None else [now]
        self.fill(f"{name}-now", x=at, y=[float(found.total.lam)] * len(at))
        self.fill(f"{name}-local", x=at, y=[float(found.here.lam)] * len(at))
        inside = (x > x[0] + 0.1 * (x[-1] - x[0])) & (x < x[-1] - 0.1 * (x[-1] - x[0]))  # else half of it is cut
        many = np.flatnonzero((m > 1) & inside) if name == "depth" else []
        some = many[np.unique(np.linspace(0, len(many) - 1, min(len(many), NUMBERS)).astype(int))] if len(many) else many
        self.fill(f"{name}-many", x=x[some], y=lam[some], text=[f"m={k}" for k in m[some]])
        top = max(lam.max(), float(found.here.lam)) * 1.12
        self.span(name, "x", x[0] - 0.03 * (x[-1] - x[0]) - 0.05, x[-1] + 0.03 * (x[-1] - x[0]) + 0.05)
        self.span(name, "y", 0, max(top, 1))
        chips = [("exact line", "λ"), ("b dash", "regular part"), *[("bayes dots", "parameters/2")] * bool(half.min() < top), ("steep", "your point")]
        fall = {
            "depth": f"From {text_of(lam[0])} without hidden layers to {text_of(lam[-1])} with {x[-1]}",
            "width": f"From {text_of(lam[0])} at width {x[0]} to {text_of(lam[-1])} at {x[-1]}",
            "rank": f"From {text_of(lam[0])} at rank 0 to {text_of(lam[-1])} at rank {x[-1]}",
        }[name]
        if lam[0] == lam[-1] and len(set(lam)) == 1:
            fall = f"{text_of(lam[0])} throughout"
        return [*chips, ("words", fall)]

    # training

    def lines(self, run: SaddleToSaddle) -> None:
        """What is known of a training before it begins."""
        ends, size, total = [0, run.steps], run.size, float(learning_coefficient(run.widths, 0).lam)
        treads = [loss for loss in run.plateaus if loss > 0]
        self.fill("loss-exact", x=[ends] * len(treads), y=[[loss] * 2 for loss in treads])
        high = 2 * treads[0]
        few = apart(treads, (high / (min(treads) / 20)) ** ROOM)
        self.fill("loss-text", x=[run.steps] * len(few), y=few, text=[f"{loss:,.4g}" for loss in few])
        self.span("loss", "y", min(treads) / 20, high)
        teacher = [run.strength * k for k in range(size, max(size - SHOWN, 0), -1)]
        self.fill("singular-exact", x=[ends] * len(teacher), y=[[value] * 2 for value in teacher])
        self.span("singular", "y", 0, 1.15 * teacher[0])
        self.fill("estimate-lines", x=ends, regular=[0, 0], total=[total] * 2, local=[total] * 2)
        self.span("estimate", "y", 0, 1.6 * total)
        for name in TRAINED:
            self.span(name, "x", 0, max(run.steps, 1))
        treads_text = ", ".join(f"{loss:,.4g}" for loss in run.plateaus[:7]) + (" …" if len(run.plateaus) > 7 else "")
        network = ("words", f"training {chain(run.widths)}")  # which need not be the network of the other figures
        self.legend(
            loss=[("a line", "loss"), ("exact dash", "exact plateaus"), network, ("words", treads_text)],
            singular=[("a line", "network"), ("exact dash", "teacher"), network],
            estimate=[
                network,
                ("a", "λ̂ ± error"),
                ("exact line", "λ"),
                ("steep dash", "λ(w)"),
                ("b line", "regular part"),
                ("ink dots", "expected"),
            ],
        )

    def draw(self, frames: Sequence[SaddleFrame]) -> None:
        if not frames:
            return
        steps = [frame.step for frame in frames]
        self.fill("loss-run", x=steps, y=[max(frame.loss, 1e-12) for frame in frames])
        values = np.array([frame.singular[:SHOWN] for frame in frames]).T
        self.fill("singular-run", x=[steps] * len(values), y=values.tolist())
        lines = {name: [float(getattr(frame, name)) for frame in frames] for name in ("regular", "total", "local")}
        ahead = {name: [*row, row[-1]] for name, row in lines.items() if name != "regular"} | {"regular": [*lines["regular"], lines["regular"][-1]]}
        self.fill("estimate-lines", x=[*steps, max(self.watch.course.run.steps, steps[-1])], **ahead)
        self.fill("estimate-expected", x=steps, y=[frame.expected for frame in frames])
        mean, error = (np.array([getattr(frame.estimate, name) for frame in frames], float) for name in ("mean", "stderr"))
        error = np.nan_to_num(error)
        self.fill("estimate-run", x=steps, mean=mean, low=mean - error, high=mean + error)
        top = max(max(lines["total"]), max(lines["local"]), float(np.nanmax(mean + error, initial=0.0)))
        self.span("estimate", "y", 0, max(1.12 * top, 1.25 * lines["total"][0]))
        last = frames[-1]
        self.legend(
            estimate=[
                ("a", "λ̂ ± error"),
                ("exact line", f"λ = {text_of(last.total)}"),
                ("steep dash", f"λ(w) = {text_of(last.local)}"),
                ("b line", f"regular part {text_of(last.regular)}"),
                ("ink dots", f"expected {last.expected:.1f}"),
                (
                    "words",
                    f"training {chain(self.watch.course.run.widths)}; rank {last.rank}: λ̂ = {last.estimate.mean:.1f} ± {last.estimate.stderr:.1f}",
                ),
            ]
        )

    def tell(self) -> None:
        """Buttons and progress."""
        if not self.seen:
            self.view.actions = []
            self.report("")
            return
        run, watch, asked = self.value.training, self.watch, self.watch.course
        if asked and asked.done and watch.phase == "running" and not asked.error:
            watch.phase = "done"  # while nobody looked
        stale = asked is not None and asked.run != run
        running, paused = watch.phase == "running", watch.phase == "paused"
        why, cost = problem(run), seconds(run)
        buttons = []
        if running:
            buttons.append({"name": "pause", "text": "Pause", "help": "Pause the training", "main": not stale})
        if paused:
            buttons.append({"name": "continue", "text": "Go on", "help": "Go on with the training", "main": not stale})
        if not (running or paused) or stale:
            again = "Run again" if asked and not stale else "Run"
            help = "Train with these settings, from the start"
            buttons.append({"name": "run", "text": again, "help": help, "disabled": bool(why), "main": stale or not (running or paused)})
        if running or paused:
            buttons.append({"name": "stop", "text": "Stop", "help": "Stop the training here; what is seen stays"})
        buttons.append({"name": "another", "text": "New start", "help": "Train from other random weights: the next seed", "disabled": bool(why)})
        self.view.actions = buttons
        step, steps = (asked.frames[-1].step if asked and asked.frames else 0, asked.run.steps) if asked else (0, run.steps)
        where = f"step {step:,} of {steps:,}"
        left = f", about {duration(watch.left)} left" if running and watch.left is not None else ""
        text = {
            "idle": f"Not trained yet: about {duration(cost)}.",
            "running": f"Training: {where}{left}",
            "paused": f"Paused at {where}",
            "stopped": f"Stopped at {where}",
            "done": f"Trained: {steps:,} steps",
        }[watch.phase]
        if why:
            text = f"These settings cannot run: {why}. {text if asked else ''}"
        elif stale:
            text = f"Settings changed: run again (about {duration(cost)}). {text}"
        self.report(text, step / max(steps, 1) if running or paused else None, running)
