"""The LLC lab: chains estimate a learning coefficient that is known; what they report stands beside what is exact, with their health in words."""

from dataclasses import replace

from app.known import finite
from app.llcfigures import CELLS
from app.llclab import EXAMPLES, HEALTHY, SPACING, LLCLab, anchored, columns_of, controls, decode, encode, rows_of, shape
from app.llcpicture import LINES, Map, Numbers, Picture, map_columns, table, ticks
from app.llcruns import Task, Tuned, same_cells, work
from app.llcwords import board, health_words, known_words, nearest, says
from app.numerals import number
from app.page import Session as Base


class Session(Base):
    """One visitor's LLC lab."""

    page = "llc"
    title = "λ̂ beside what is known"
    cells = CELLS
    headings = ("Health", "What is known")
    start = HEALTHY
    examples = EXAMPLES
    decode = staticmethod(decode)
    encode = staticmethod(encode)
    controls = staticmethod(controls)
    shape = staticmethod(shape)
    work = staticmethod(work)

    def opened(self):
        self.shown: Picture | None = None
        self.running, self.task = False, None
        self.mapped: LLCLab | None = None  # whose cells are shown

    def changed(self, before):
        self.begin("run")

    def begin(self, what: str) -> None:
        """Let the threads begin, and say so."""
        self.running = what != "stop"
        self.buttons()
        self.write(1, known_words(self.value))
        half = 10 ** (SPACING / 2)
        eps, nbeta = nearest(columns_of(self.value), self.value.sampler.eps), nearest(rows_of(self.value), self.value.nbeta)
        self.fill("here", left=[eps / half], right=[eps * half], bottom=[nbeta / half], top=[nbeta * half])
        for axis, ends in (("x", columns_of(self.value)), ("y", rows_of(self.value))):
            self.span("map", axis, ends[0] / half, ends[-1] * half)
        self.view.board = board(Map(self.value, {}, False), None)
        if self.mapped is not None and not same_cells(self.mapped, self.value):
            self.mapped = None
            self.fill("cells", **map_columns(Map(self.value, {}, False), None))
        if what == "stop" and self.shown is not None and self.shown.value != self.value:
            self.forget()
        self.task = Task(self.value, what, "map" in self.plots)
        self.latest(self.task)

    def publish(self, result):
        self.later(self.answered, self.latest.begun, result)

    def answered(self, task: Task, result) -> None:
        """Show it, unless the visitor has moved on or stopped meanwhile: the end of a run must not end the tuning that was asked for since."""
        if task is self.task:
            self._show(result)

    def forget(self) -> None:
        """What is shown was run at other settings than those that stay."""
        for name, columns in self.shown.columns.items():
            self.fill(name, **dict.fromkeys(columns, ()))
        self.shown = None
        self.view.says = "Stopped before the first draws at these settings."
        self.write(0, "")
        self.legend(chains=[], law=[], **{"lambda": []})

    def buttons(self) -> None:
        self.view.actions = [
            {
                "name": "tune",
                "text": "Tune ε for me",
                "help": "Find the step that a Metropolis test accepts in 9 of 10 cases; for samplers without one, cut it until halving changes λ̂ "
                "by less than 5 % or two standard errors",
                "main": True,
            },
            {"name": "noise", "text": "New noise", "help": "The same run with another seed"},
            {"name": "stop", "text": "Stop", "help": "Stop here; what is there stays", "disabled": not self.running},
        ]

    def act(self, action):
        if action == "tune":
            self.begin("tune")
        elif action == "noise":
            self.replace(replace(self.value, settings=replace(self.value.settings, seed=(self.value.settings.seed + 1) % 2**31)))
        elif action == "stop" and self.running:
            self.begin("stop")
            self.report("stopped; change anything to go on")

    def table(self):
        """The running estimate, and what is exact."""
        return table(self.value, self.shown) if self.shown and len(self.shown.columns["running"]["x"]) else ""

    def show(self, result):
        match result:
            case Picture():
                self.show_picture(result)
            case Tuned():
                self.replace(anchored(replace(self.value, sampler=replace(self.value.sampler, eps=result.eps))))
            case Map():
                self.show_map(result)

    def show_picture(self, shown: Picture) -> None:
        value, numbers = shown.value, shown.numbers
        if numbers.draws >= 4 or numbers.dead or self.shown is None or type(self.shown.value.model) is not type(value.model):
            for name, columns in shown.columns.items():
                self.fill(name, **columns)
            for name, (low, high) in shown.spans.items():
                figure_, _, axis = name.partition("-")
                self.span(figure_, axis or "x", low, high)
            if "law" in self.plots and "law" in shown.spans:
                self.plots["law"].xaxis[0].ticker.ticks = ticks(*shown.spans["law"])
            densest = max([0.0, *shown.columns["drawn"]["y"], *shown.columns["gamma"]["y"]])
            self.span("law", "y", 0, 1.1 * densest or 1)
            self.shown = shown
            self.legends(value, numbers)
            self.view.says = says(value if shown.sampler is None else replace(value, sampler=shown.sampler), numbers, shown.done)
            self.write(0, health_words(value, numbers))
        steps = f"{numbers.draws:,} of {value.settings.draws:,} draws of {value.settings.chains} chains"
        if shown.sampler is not None:
            self.report(f"tuning: ε = {number(shown.sampler.eps, 3)}" + (f"; {steps}" if numbers.draws else ""), shown.share, True)
        elif shown.done and "map" in self.plots:
            self.report(f"{steps}; now the map …", 1.0, True)
        elif shown.done:
            self.rest(steps)
        else:
            self.report(steps if numbers.draws else "burn-in …", shown.share, True)

    def show_map(self, shown: Map) -> None:
        truth = shown.value.model.truth.local
        reference = float(truth) if truth is not None else self.shown.numbers.mean if self.shown else None
        self.fill("cells", **map_columns(shown, reference))
        self.mapped = shown.value
        self.view.board = board(shown, reference)
        count, of = len(shown.cells), len(columns_of(shown.value)) * len(rows_of(shown.value))
        base = "λ" if truth is not None else "this λ̂"
        told = f"pale: {base} within 2 s.e.; blue: too low, orange: too high, grey: cannot tell; ! warned, † died"
        self.legend(map=[("words", told), ("hint", "Click a cell to go there")])
        if shown.done:
            self.rest("done")
        else:
            self.report(f"map: {count} of {of} short runs", count / of, True)

    def afresh(self, wanted):
        return wanted._replace(fresh=True)

    def moment(self, result):
        match result:
            case Picture() if result.done:
                return f"{result.numbers.draws:,} draws"
            case Picture():
                return f"draw {result.numbers.draws:,}" if result.numbers.draws else ""
            case Map():
                return f"map, {len(result.cells)} cells"
        return ""

    def rest(self, told: str) -> None:
        """All that was asked for is there."""
        self.running = False
        self.buttons()
        self.report(told)

    def legends(self, value: LLCLab, numbers: Numbers) -> None:
        truth, found, columns = value.model.truth, numbers.exact, self.shown.columns
        drawn = min(LINES, value.settings.chains - numbers.dead)
        chips = [("words", f"{drawn} of {value.settings.chains} chains" + (f"; {numbers.dead} died" if numbers.dead else ""))]
        if columns["level"]["y"]:
            chips.append(("exact line", f"{'exact mean' if finite(found.best) else 'λ'}: {number(columns['level']['y'][0])}"))
        lines = [("a line", "λ̂ ± 2 s.e.")]
        if truth.local is not None:
            lines.append(("exact line", f"λ = {truth.local}" + (" at w*" if truth.overall != truth.local else "")))
        if columns["overall"]["y"]:
            lines.append(("exact dash", f"most singular: {truth.overall}"))
        if found.ideal is not None:
            lines.append(("b dash", f"exact at this nβ: {number(found.ideal)}"))
        if columns["actual"]["y"]:
            lines.append(("steep dots", f"with this step: {number(found.actual)}"))
        if columns["regular"]["y"]:
            lines.append(("bayes dots", f"curved directions alone: {truth.regular}"))
        shape_ = [("a line", "draws")] + ([("exact line", f"Gamma({truth.local})")] if truth.local is not None else [])
        self.legend(chains=chips, **{"lambda": lines}, law=shape_)
