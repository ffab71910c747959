"""Networks: two optimisers race from one network on the same batches; lambda-hat of both against epochs, and against the training loss.

The page's state is the settings, a `Contest`; a race that runs has its own. So moving a slider changes no race, and a race belongs to the browser's
tab (`app.tabs`): it goes on while its visitor looks at another page, and is found again. With `run=1` in the link, as in lessons, a race of its
settings starts when the page opens in a tab that has none, or, where a lesson goes on to it, once the page has no such race; `run` is no part of
the state, and a link that is copied later has none.
"""

import csv
import functools
import io
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app import landscapelab as lab
from app import state
from app.contest import PICTURES, SETS, Contest, History, Looks, Net, Racing, Verdict, missing, sentence, verdict
from app.live import Asked
from app.netfigures import CELLS, WAITING, bottom, sources, spans, visible
from app.numerals import counted, measured, number, signed
from app.page import Session as Base
from app.page import asked
from app.tabs import Tab
from nets import KFAC, OPTIMISERS, SGD, Adam, FisherNGD, OnlineNGD, Optimiser

SHORT = 3e-5  # eps of chains on large data sets
REMEMBERED = 4  # finished races, for who goes back to one
PATIENCE = 2.0  # seconds after which a picture that was asked for counts as lost
NAMES = {
    "SGD": "SGD",
    "Adam": "Adam",
    "FisherNGD": "NGD: Fisher matrix",
    "KFAC": "NGD: K-FAC",
    "OnlineNGD": "Kaldi's online NG",
}
SETS_NAMES = {"Digits": "digits (8 × 8)", "MNIST": "MNIST", "FashionMNIST": "Fashion-MNIST", "CIFAR10": "CIFAR-10"}
NETS_NAMES = {"MLP": "MLP", "LeNet5": "LeNet-5", "SmallCNN": "small CNN"}
LABELS = {
    "nesterov": "Nesterov",
    "epsilon": "least damping ε",
    "fisher": "Fisher matrix",
    "decay": "memory of A, B",
    "every": "a batch every",
    "refresh": "eigenbasis every",
    "b1": "β₁",
    "b2": "β₂",
    "eta": "newest share",
    "delta": "floor δ",
    "rank": "rank R",
    "paper_mode": "in float32",
    "alpha": "smoothing α",
    "size": "samples (0 = all)",
    "hidden": "hidden units",
    "batch": "batch size",
    "part": "B starts after",
    "count": "times",
    "burn_in": "burn-in",
    "vectors": "vectors, tr H",
}
HELP = {
    "nesterov": "Nesterov's momentum instead of the plain one",
    "fisher": "whose labels make the Fisher matrix: sampled: drawn from the model, one a sample; true: their exact expectation, dearer; "
    "empirical: the data's, which is another matrix and vanishes as the loss does",
    "paper_mode": "statistics in float32, as the paper ran it: its preconditioner is then not positive definite",
    "activation": "between the layers",
    "nbeta": "n/log n with n training samples (WBIC's beta is 1/log n); devinterp-0.2: that tool's old default batch/log batch, the paper's numbers",
    "spectrum": "when the 20 largest eigenvalues of the Hessian are computed; the button does it at any time",
}
HIDDEN = ("solver",)


# Text: what a link holds


def encode(value: Contest) -> dict[str, str]:
    """Every value as text, for the link."""
    texts = {"v": lab.VERSION, "data": value.samples.name, "net": value.net.kind}
    texts |= {f"data.{name}": text for name, text in state.encode_fields(value.samples).items() if name != "name"}
    texts |= {f"net.{name}": text for name, text in state.encode_fields(value.net).items() if name != "kind"}
    for lane in "ab":
        optimiser = getattr(value, lane)
        texts |= {f"{lane}.rule": type(optimiser).__name__} | state.encode_fields(optimiser, f"{lane}.")
    return texts | state.encode_fields(value) | state.encode_fields(value.looks, "look.")


def decode(query: Mapping[str, str], default: Contest = Contest()) -> tuple[Contest, list[str]]:
    """Settings from a link that anybody may have written, and messages about what could not be used; never raises.

    Other data, another network or optimiser start from their own defaults. Folders of data are the server's, not the link's.
    """
    query = {key: text for key, text in query.items() if key not in ("v", "run", *state.FRAME)}
    samples, messages = _samples(query, default)
    net, found = _net(query, default, samples)
    messages += found
    lanes = {}
    for lane in "ab":
        optimiser = getattr(default, lane)
        kind, found = _chosen(query, f"{lane}.rule", OPTIMISERS, type(optimiser).__name__)
        optimiser = optimiser if kind == type(optimiser).__name__ else begin(OPTIMISERS[kind], optimiser)
        lanes[lane], more = state.decode_fields(optimiser, query, f"{lane}.")
        messages += found + more
    looks = default.looks
    if samples.name != default.samples.name:  # acceptable steps of the chains are shorter for larger networks and more samples
        looks = replace(looks, eps=Looks().eps if samples.name == "Digits" else SHORT)
    looks, found = state.decode_fields(looks, query, "look.")
    messages += found
    last = query.get("epochs", "")
    if "part" not in query and last.isascii() and last.isdigit() and int(last[:9]) <= default.part:
        default = replace(default, part=0)  # shorter than the way to where the two part: apart from the start
    made, found = state.decode_fields(replace(default, samples=samples, net=net, looks=looks, **lanes), query)
    known = encode(made)
    unknown = [
        f"{state._short(key)[1:-1]} = {state._short(text)}; this page has no such value (left out)"
        for key, text in query.items()
        if key not in known and not _of_another(key)
    ]
    return made, state._messages(messages + found + unknown)


def _chosen(query, key: str, choices, before: str) -> tuple[str, list[str]]:
    text = query.get(key, before)
    if isinstance(text, str) and text in choices:
        return text, []
    return before, [f"{key} = {state._short(text)}; choose one of {', '.join(choices)} (kept {before})"]


def _samples(query, default: Contest):
    name, messages = _chosen(query, "data", SETS, default.samples.name)
    if reason := missing(name):
        if name != default.samples.name:
            messages.append(f"data = {name}: {reason} (kept {default.samples.name})")
        name = default.samples.name
    samples = default.samples
    if name != samples.name:
        samples = replace(samples, name=name, size=0 if name == "Digits" else 10_000)
    samples, found = state.decode_fields(samples, {"data.size": query["data.size"]} if "data.size" in query else {}, "data.")
    return samples, messages + found


def _net(query, default: Contest, samples):
    kind, messages = _chosen(query, "net", NETS_NAMES, default.net.kind)
    net = default.net
    if kind != net.kind:
        net = replace(net, kind=kind, hidden={"SmallCNN": "8-16", "MLP": "64-64"}.get(kind, net.hidden))
    net, found = state.decode_fields(net, {key: text for key, text in query.items() if key in ("net.hidden", "net.activation")}, "net.")
    try:
        net.model(samples)
    except ValueError as error:
        net = Net()
        found = [*found, f"{error} (used {NETS_NAMES[net.kind]} {net.hidden})"]
    return net, messages + found


def _of_another(key: str) -> bool:
    """A value of an optimiser that has just been changed for another: nothing to complain of."""
    return key[:2] in ("a.", "b.") and any(key[2:] in state.encode_fields(made()) for made in OPTIMISERS.values())


def begin(kind: type[Optimiser], before: Optimiser) -> Optimiser:
    """An optimiser where the race is worth seeing: rates differ by orders of magnitude, momentum stays."""
    kept = {name: getattr(before, name) for name in ("momentum", "nesterov") if hasattr(before, name)} or {"momentum": 0.9, "nesterov": True}
    if kind is Adam:
        return Adam()
    if kind in (FisherNGD, KFAC):
        return kind(lr=0.006, epsilon=0.3, alpha=0.0, **kept)
    return kind(lr=0.02, **kept)


# Controls


def items(value, prefix: str = "", without: Sequence[str] = ()) -> list[dict]:
    """The controls of a value, in this page's words."""
    found = lab._items(value, prefix, tuple(without))
    for item in found:
        name = item["name"].removeprefix(prefix)
        item["label"] = "floor ε" if name == "eps" and prefix in ("a.", "b.") else LABELS.get(name, item["label"])
        if item["kind"] == "choice":
            item["help"] = HELP.get(name, item["help"])
    return found


def controls(value: Contest) -> list[dict]:
    """The form: groups of fields with their values, ranges, units and help."""
    colours, side, most = PICTURES[value.samples.name]
    sets = [[name, SETS_NAMES[name] + (" (not here)" if missing(name) else ""), missing(name) or None] for name in SETS]
    absent = "; ".join(f"{SETS_NAMES[name]}: {missing(name)}" for name in SETS if missing(name))
    data = lab._choice("data", "data", value.samples.name, (), absent or "pictures of ten kinds") | {"choices": sets}
    size = items(value.samples, "data.", ("name",))
    size[0]["shown"] = [0, most]
    fits = [(kind, name) for kind, name in NETS_NAMES.items() if kind != "LeNet5" or side == 28]
    net = lab._choice(
        "net", "network", value.net.kind, fits, f"reads {side} × {side} pixels" + (" in colour" if colours > 1 else "") + ", ten outputs"
    )
    fixed = {"MLP": (), "LeNet5": ("hidden", "activation"), "SmallCNN": ("activation",)}[value.net.kind]
    layers = items(value.net, "net.", ("kind", *fixed))
    if value.net.kind == "SmallCNN":
        layers[0]["label"] = "channels"
    return [
        {"title": "Data and network", "open": True, "items": [data, *size, net, *layers]},
        {"title": "Optimiser A", "mark": "a", "open": True, "items": _optimiser(value.a, "a.")},
        {"title": "Optimiser B · same batches", "mark": "b", "open": True, "items": _optimiser(value.b, "b.")},
        {"title": "Training", "open": True, "items": items(value)},
        {"title": "Estimates: λ̂, tr H, spectrum", "open": False, "items": items(value.looks, "look.")},
    ]


def _optimiser(value: Optimiser, prefix: str) -> list[dict]:
    first = (value.__doc__ or "").strip().split("\n")[0]
    head = lab._choice(prefix + "rule", "optimiser", type(value).__name__, list(NAMES.items()), first)
    return [head, *items(value, prefix, HIDDEN)]


# Words


def named(value: Optimiser) -> str:
    """What it is, in few words, for legends and sentences."""
    match value:
        case FisherNGD():
            return f"NGD, {value.fisher} Fisher"
        case KFAC():
            return "K-FAC" + (" (empirical)" if value.fisher == "empirical" else "")
    return NAMES[type(value).__name__]


def names(contest: Contest) -> tuple[str, str]:
    """Of both lanes, with what tells them apart where they are of one kind."""
    rules = contest.a, contest.b
    found = [named(rule) for rule in rules]
    if found[0] == found[1]:
        mark, sign = ("lr", "η") if contest.a.lr != contest.b.lr or not hasattr(contest.a, "alpha") else ("alpha", "α")
        found = [f"{name}, {sign} = {getattr(rule, mark):g}" for name, rule in zip(found, rules, strict=True)]
    return tuple(found)


def equation(value: Optimiser) -> str:
    """The update in LaTeX, and what should be known of it."""
    momentum = getattr(value, "momentum", 0)
    tail = f" Momentum {momentum:g} makes the effective rate η/(1 − μ) = {value.lr / (1 - momentum):.3g}." if momentum else ""
    damped = r"\rho = \max(\alpha \operatorname{tr} F / D, \epsilon)"
    match value:
        case SGD():
            return rf"$$w \leftarrow w - \eta\, g$$ with the gradient g of the batch.{tail}"
        case Adam():
            return r"$$w \leftarrow w - \eta\, \hat m / (\sqrt{\hat v} + \epsilon)$$ with running means of g and of g²."
        case FisherNGD():
            whose = {"sampled": "labels drawn from the model", "true": "the model's labels in expectation", "empirical": "the data's labels"}
            return (
                rf"$$w \leftarrow w - \eta\, (F + \rho I)^{{-1}} g, \quad {damped}$$ with F of the same batch, exactly, from {whose[value.fisher]}. "
                f"Where F is small against ρ this is SGD of rate η/ρ.{tail}"
            )
        case KFAC():
            return (
                rf"$$w \leftarrow w - \eta\, (A \otimes B + \rho I)^{{-1}} g, \quad {damped}$$ layer by layer, A and B running means over batches. "
                f"Where F is small against ρ this is SGD of rate η/ρ.{tail}"
            )
    return (
        r"$$X \leftarrow X (I - W^T W)\, |X| / |X (I - W^T W)|$$ along each axis of each tensor's gradient X: whitened by the running "
        f"covariance of the *batches' gradients*, not by a Fisher matrix, and given the gradient's own length: its steps are as long as SGD's.{tail}"
    )


@functools.lru_cache(maxsize=64)
def notes(contest: Contest) -> str:
    """What is compared, and what the numbers mean (Markdown with formulas)."""
    n, looks, (a, b) = contest.samples.n, contest.looks, names(contest)
    size = contest.net.model(contest.samples).size
    start = f"after {counted(contest.part, 'epoch')} of A, in a copy, without its momentum" if contest.part else "from the same first weights"
    whence = "n/log n" if looks.nbeta == "n/log n" else "devinterp 0.2: batch/log batch"
    return "\n\n".join(
        [
            f"**A: {a}.** {equation(contest.a)}",
            f"**B: {b}**, {start}, on the same batches. {equation(contest.b)}",
            rf"$$\hat\lambda = n\beta\, (\mathbb{{E}}[L_n] - L_n(w))$$ over {looks.chains} chains tethered to the network (γ = {looks.gamma:g}), "
            f"nβ = {contest.nbeta:.4g} ({whence}), n = {n:,} samples, {size:,} weights. "
            "γ and nβ set the scale: compare values of equal settings only. Errors are of the chains; other seeds differ by more.",
        ]
    )


def numbers(contest: Contest, history: History) -> str:
    """A table (Markdown) of what there is now, and at the same training loss."""
    looks = [looks[-1] if looks else None for looks in history.looks]
    if None in looks:
        return "Estimates of λ̂ come after the first epoch."
    rows, rules = [rows[-1] for rows in history.rows], (contest.a, contest.b)

    def line(what, read):
        return f"| {what} | {read(0)} | {read(1)} |"

    def fair(what, found: Verdict):
        same = found.same
        return [line(f"**{what}** at training loss {number(same.losses[0], 2)}", lambda i: measured(same.values[i], same.errors[i]))] if same else []

    def rate(i):
        if isinstance(rules[i], Adam):
            return "its own"
        return number(rules[i].lr / (1 - rules[i].momentum) / (rows[i].rho if math.isfinite(rows[i].rho) else 1), 3)

    a, b = names(contest)
    lines = [
        f"| | A: {a} | B: {b} |",
        "|---|---|---|",
        line("epoch", lambda i: f"{looks[i].epoch:.0f}"),
        line("training loss", lambda i: number(looks[i].train.loss, 3)),
        line("test loss; accuracy", lambda i: f"{number(looks[i].test.loss, 3)}; {looks[i].test.accuracy:.1%}"),
        line("λ̂", lambda i: measured(looks[i].llc, looks[i].error)),
        *fair("λ̂", verdict(history)),
        line("tr H", lambda i: measured(looks[i].trace, looks[i].trace_error)),
        *fair("tr H", verdict(history, lambda look: look.trace, lambda look: look.trace_error)),
        line("WBIC [nats]", lambda i: signed(f"{looks[i].wbic:,.0f}")),
        line("chains: R-hat; acceptable steps", lambda i: f"{looks[i].rhat:.2f}; {looks[i].acceptance:.0%}"),
        line("chains: nβ, γ", lambda i: f"{contest.nbeta:.4g}, {contest.looks.gamma:g}"),
        line("chains: warnings", lambda i: ", ".join(looks[i].warnings) or "none"),
    ]
    if any(math.isfinite(row.rho) for row in rows):
        lines.append(line("damping ρ now", lambda i: number(rows[i].rho, 3) if math.isfinite(rows[i].rho) else "none"))
    lines.append(line("rate in flat directions, η/((1 − μ)ρ)", rate))
    lines.append(line("seed of weights and batches", lambda i: f"{contest.seed}"))
    if any(row.smallest < 0 for row in rows):
        lines.append(
            line("least eigenvalue of the preconditioner", lambda i: number(rows[i].smallest, 2) if math.isfinite(rows[i].smallest) else "1")
        )
    return "\n".join(lines)


def table(contest: Contest, history: History) -> str:
    """All that was seen as CSV text, one row a frame and lane; estimates stand in the row of their step, missing values are empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    head = ["lane", "optimiser", "step", "epoch", "batch_loss", "update_norm", "cosine", "least_eigenvalue_of_preconditioner", "rho"]
    head += ["train_loss", "train_accuracy", "test_loss", "test_accuracy", "lambda_hat", "lambda_error", "nbeta", "rhat", "acceptance", "wbic"]
    head += ["trace_hessian", "trace_error", *(f"eigenvalue_{i}" for i in range(1, 21))]
    writer.writerow(head)
    for i, (rule, rows, looks) in enumerate(zip((contest.a, contest.b), history.rows, history.looks, strict=True)):
        at = {look.step: look for look in list(looks)}
        spectra = {round(epoch, 6): found[i].values.tolist() for epoch, found in list(history.spectra) if found[i] is not None}
        for row in list(rows):
            cells = ["AB"[i], repr(rule), row.step, row.epoch, row.loss, row.norm, row.cosine, row.smallest, row.rho]
            cells += [*row.train, *row.test] if row.train else [""] * 4
            look = at.get(row.step)
            cells += [look.llc, look.error, contest.nbeta, look.rhat, look.acceptance, look.wbic, look.trace, look.trace_error] if look else [""] * 8
            cells += spectra.get(round(row.epoch, 6), [])
            cells += [""] * (len(head) - len(cells))
            writer.writerow(["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells])
    return text.getvalue()


def clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


# The page

EXAMPLES: dict[str, tuple[str, Contest]] = {
    "paper": ("SGD against Kaldi's online NG (the paper's Fig. 2, on digits)", Contest()),
    "fisher": (
        "Which natural gradient? Exact Fisher, at SGD's rate η/ρ where it is flat",
        Contest(b=FisherNGD(lr=0.006, momentum=0.9, nesterov=True, alpha=0.0, epsilon=0.3, fisher="true")),
    ),
    "kfac": (
        "K-FAC, with the same effective rate as SGD where it is flat",
        Contest(b=KFAC(lr=0.02, momentum=0.9, nesterov=True, alpha=0.0, epsilon=1.0)),
    ),
    "switch": ("Switch midway: SGD for 10 epochs, then Kaldi's online NG", Contest(part=10, epochs=30, looks=Looks(count=12))),
    "smooth": ("Damping: the same online NG with α = 50 instead of 0.1", Contest(a=OnlineNGD(lr=0.02, alpha=0.1), b=OnlineNGD(lr=0.02, alpha=50.0))),
    "rate": ("No natural gradient at all: SGD with a larger rate", Contest(b=SGD(lr=0.06, momentum=0.9, nesterov=True))),
    "devinterp": ("nβ by devinterp's old convention: another number", Contest(looks=Looks(nbeta="devinterp-0.2"))),
}
TICK = object()


class Session(Base):
    """One visitor's page: settings (`value`), and the race of this tab, whose settings may be older."""

    page = "networks"
    title = "Two optimisers from one network"
    cells = CELLS
    headings = ("In numbers", "What is compared")
    start = Contest()
    examples = EXAMPLES
    decode = staticmethod(decode)
    encode = staticmethod(encode)
    controls = staticmethod(controls)

    def __init__(self, query: dict[str, str]):
        self.tab: Tab | None = None
        self.racing: Racing | None = None
        self.over: dict[Contest, Racing] = {}  # finished ones, the latest last
        self.sent: dict[str, dict] = {}
        self.asked = -math.inf
        self.bare = not set(query) - set(state.FRAME)
        self.starts = query.get("run") == "1"
        super().__init__(query)

    def shape(self, value):
        return type(value.a), type(value.b), value.samples.name, value.net.kind

    def work(self, value, stale):
        return iter(())

    # what happens

    def joined(self, tab: Tab) -> None:
        """The tab is known: show its race, if it has one; an address without values takes over its settings."""
        self.tab = tab
        found = tab.get("networks")
        if found is not None:
            self.watch(found)
            if self.bare:
                self.replace(found.contest)
        elif self.starts:
            self.begin()
        self.tick()

    def hear(self, message: dict) -> None:
        super().hear(message)
        if isinstance(message, dict) and isinstance(message.get("open"), str) and asked(message["open"]).get("run") == "1":
            self.find()

    def find(self) -> None:
        """Show a race of the settings: the one that is here, one that was finished before, or a new one."""
        if self.racing is not None and self.racing.contest == self.value and self.racing.phase in ("running", "paused", "done"):
            return
        self.begin(self.over.get(self.value))

    def watch(self, racing: Racing) -> None:
        self.left()
        self.racing, self.sent = racing, {}
        racing.watchers.add(self.tick)

    def tick(self) -> None:
        """From any thread: something has happened, so draw; once, however often it is said meanwhile."""
        now = time.monotonic()
        if now - self.asked > PATIENCE:  # else that picture is still to come
            self.asked = now
            self.publish(TICK)

    def changed(self, before) -> None:
        self.tick()

    def act(self, action: str) -> None:
        racing = self.racing
        live = racing is not None and racing.live
        match action:
            case "run" if live and racing.phase == "running":
                racing.pause()
            case "run" if live:
                racing.resume()
            case "run" | "again":
                self.begin()
            case "stop" if live:
                racing.stop()
            case "spectrum" if racing is not None:
                racing.measure()
        self.tick()

    def begin(self, race: Racing | None = None) -> None:
        """A race, if none is given a new one with the settings of the controls; the one before is stopped and its networks are let go."""
        before = self.racing
        self.watch(race or Racing(self.value))
        if before is not None:
            before.close()
            if before.phase == "done":
                self.over = dict([*self.over.items(), (before.contest, before)][-REMEMBERED:])
        if self.tab is not None:
            self.tab.keep("networks", self.racing)
        self.view.notices = []

    def left(self) -> None:
        if self.racing is not None:
            self.racing.watchers.discard(self.tick)

    def close(self) -> None:
        super().close()
        if self.tab is None and self.racing is not None:  # no tab that would do it
            self.racing.close()

    def record(self):
        """A race of these settings, a frame an epoch and a frame a look."""
        self.latest, said = Asked(), None
        news = threading.Event()
        self.begin()
        self.racing.watchers.add(news.set)
        try:
            while said is None or self.racing.live or self.racing.measuring:
                news.wait(1)
                news.clear()
                history = self.racing.history
                now = (int(history.rows[0][-1].epoch), sum(map(len, history.looks))) if history.rows[0] else None
                if now not in (None, said):
                    said = now
                    self.show(TICK)
                    yield f"epoch {now[0]}"
            if self.racing.phase == "failed":
                raise ValueError(self.racing.why)
            self.show(TICK)
            yield f"epoch {self.value.epochs}"
        finally:
            self.racing.close()

    def table(self):
        """One row a frame and network."""
        return table(self.racing.contest, self.racing.history) if self.racing and self.racing.history.rows[0] else ""

    # what is shown

    def show(self, result) -> None:
        self.asked = -math.inf
        racing = self.racing
        contest, history = (racing.contest, racing.history) if racing else (self.value, History())
        for name, columns in sources(contest, history).items():
            if self.sent.get(name) != columns:
                self.sent[name] = columns
                self.fill(name, **columns)
        self.frame(contest, history)
        if (buttons := self.buttons()) != self.view.actions:  # a button that is made anew forgets that it is being pressed
            self.view.actions = buttons
        self.view.says = self.said(contest, history)
        empty = "A table of both networks: losses, λ̂, tr H, WBIC, at equal epochs and at the same training loss."
        self.write(0, numbers(contest, history) if racing else empty)
        self.write(1, notes(contest))
        self.report(*self.progress())

    def frame(self, contest: Contest, history: History) -> None:
        """Ranges and legends."""
        for name in ("loss", "lambda", "accuracy", "trace", "wbic", "norm", "cosine"):
            self.span(name, "x", -0.02 * contest.epochs, 1.02 * contest.epochs)
        self.span("spectrum", "x", 0.3, 20.7)
        for name, low, high in spans(history):
            self.span(name, "y", low, high)
        losses = [look.train.loss for look in visible(history) if look.train.loss > 0]
        if "matched" in self.plots and losses:
            ends, left, right = self.plots["matched"].x_range, max(losses) * 1.3, min(losses) / 1.3  # training goes to the right
            if (ends.start, ends.end) != (left, right):
                ends.update(start=left, end=right)
        a, b = names(contest)
        both = [("a line", f"A: {a}"), ("b line", f"B: {b}")]
        if not history.rows[0]:
            self.legend(**{name: [*both, ("words", text)] for name, text in WAITING.items()})
            return
        found = {name: list(both) for name in self.cells}
        for name in ("loss", "accuracy"):
            found[name].append(("bayes dash", "dashed: test"))
        if below := sum(look.llc < bottom(history) for looks in history.looks for look in list(looks)):
            found["lambda"].append(("words", f"{below} estimate{'s lie' if below > 1 else ' lies'} far below 0: not at a minimum"))
        drawn = set(map(id, visible(history)))
        for lane, looks in zip("AB", history.looks, strict=True):
            if looks and drawn.isdisjoint(map(id, list(looks))):
                found["wbic"].append(("words", f"{lane} is not at a minimum: beyond the axis"))
        same = verdict(history).same
        if same and min(same.values) > 0:
            values = " and ".join(measured(value, error) for value, error in zip(same.values, same.errors, strict=True))
            found["matched"].append(("words", f"at loss {number(same.losses[0], 2)}: {values}"))
        found["spectrum"].append(("words", f"after epoch {history.spectra[-1][0]:.3g}" if history.spectra else WAITING["spectrum"]))
        self.legend(**found)

    def buttons(self) -> list[dict]:
        racing = self.racing
        live, phase = bool(racing and racing.live), racing.phase if racing else ""
        main = {"paused": "▶ Go on", "running": "❚❚ Pause"}.get(phase, "▶ Run" if racing is None else "▶ Run again")
        anew = live and racing.contest != self.value
        still = racing is None or racing.measuring or racing.standings is None or phase in ("stopped", "failed")

        def button(name, text, help, disabled, main=False):
            return {"name": name, "text": text, "help": help, "disabled": disabled, "main": main}

        return [
            button("run", main, "Run, pause, go on (space bar)", False, not anew),
            button("stop", "■ Stop", "Stop for good; what was seen stays", not live),
            button("again", "↻ Restart", "Restart: stop this race, and run one with the new settings", not anew, anew),
            button("spectrum", "Spectrum now", "Spectrum now: the largest eigenvalues of both networks' Hessians as they are", still),
        ]

    def progress(self) -> tuple[str, float | None, bool]:
        """What runs, in words; the share that is done; whether it moves."""
        racing = self.racing
        if racing is None:
            return f"{counted(self.value.epochs, 'epoch')} of two networks, side by side", None, False
        history, changed = racing.history, racing.contest != self.value
        epoch = history.rows[0][-1].epoch if history.rows[0] else 0.0
        reached, doing = f"epoch {epoch:.0f}/{racing.contest.epochs}", f" · {history.doing}" if history.doing else ""
        later, again = (" · settings changed: for the next run", " · settings changed: run again") if changed else ("", "")
        match racing.phase:
            case "running":
                ahead = f"{clock(racing.left)} left" if racing.left is not None else "starting"
                return f"{reached} · {ahead}{doing}{later}", racing.share, True
            case "paused":
                pausing = racing.busy and not racing.measuring  # the piece of work in hand is finished first
                return f"{'pausing' if pausing else 'paused'} at {reached}" + (doing if racing.measuring else "") + later, racing.share, False
            case "done":
                return f"done, {counted(racing.contest.epochs, 'epoch')}" + (doing if racing.measuring else again), None, racing.measuring
            case "failed":
                return f"stopped at {reached}: {racing.why}", None, False
        return f"stopped at {reached}{again}", None, False

    def said(self, contest: Contest, history: History) -> str:
        """One computed sentence or two; before there is anything to compute from, what will be seen."""
        a, b = names(contest)
        if self.racing is None:
            return (
                f"Two copies of one network learn the same batches: A by {a}, B by {b}. Which one ends in the more degenerate place, "
                "that is, with the smaller λ̂? And is that still so when they are compared at the same training loss? Press Run."
            )
        ended = " ".join(f"{'AB'[i]} has diverged and stays where it was: {why}." for i, why in enumerate(history.ended) if why)
        if contest.part and history.rows[0] and history.rows[0][-1].epoch <= contest.part:
            return f"Until epoch {contest.part} both are one network, trained by {a}; then a copy goes on by {b}."
        found = verdict(history)
        words = sentence(found, (a, b))
        if not words:
            return f"{ended} {a} and {b} learn; λ̂ is measured after epochs {', '.join(map(str, contest.looks.epochs(contest.epochs, contest.part)))}."
        return f"{ended} {words}{warned(history, found)}".strip()


def warned(history: History, found: Verdict) -> str:
    """What is wrong with the chains of the looks that are told; empty if nothing is, or where the network is said to be at no minimum."""
    last = [
        (lane, look)
        for lane, looks, epoch in zip("AB", history.looks, found.equal.epochs, strict=True)
        for look in looks
        if look.epoch == epoch and look.warnings
    ]
    told = [f"{lane}: {', '.join(look.warnings)}" for lane, look in last if look.llc >= -2 * look.error]
    return f" But the chains warn ({'; '.join(told)}): change ε, burn-in or draws before you trust this." if told else ""
