"""A lesson is a Markdown file: steps of text with formulas, the state of a lab beside each, questions with an answer. The format: CONTRIBUTING.md.

Reading a file never fails on what somebody wrote in it but with one `Mistake`, which names the file, the line, and what is wanted.
"""

import base64
import difflib
import functools
import html
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from latex2mathml.converter import convert
from latex2mathml.symbols_parser import SYMBOLS
from markdown_it import MarkdownIt

from app.state import FRAME

HERE = pathlib.Path(__file__).parent / "lessons"
OWN = "LAMBDASCAPE_LESSONS"  # names a folder with lessons of one's own
LONGEST = 200_000  # bytes of a file
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^\s$](?:[^$\n]*[^\s$])?)\$", re.DOTALL)
NUMBER = re.compile(r"\{\{([^{}|]+)\|([^{}|]+)\}\}")  # {{0.117 | what it is}}
IMAGE = re.compile(r"!\[([^\]]*)\]\(\s*([^\s)]*)[^)]*\)")  # ![what is seen](file.png)
DRAWN = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".gif": "gif", ".webp": "webp", ".svg": "svg+xml"}
HEAVIEST = 1_000_000  # bytes of a picture
CHOICE = re.compile(r"- \[([ xX])\] +(.+)")
WORDS = ("show:", "question:", "answer:")


class Mistake(ValueError):
    """What is wrong with a lesson's file: file, line, demand and remedy."""

    def __init__(self, path: pathlib.Path, line: int, text: str):
        super().__init__(f"{path.name}, line {line}: {text}")


class Number(NamedTuple):
    """A number quoted in the text, and the name of its computation, which a test runs."""

    text: str
    name: str
    line: int


class State(NamedTuple):
    """A lab beside the text: its page, the figures that are shown (all if none is named), and its query."""

    page: str
    figures: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    line: int

    @property
    def open(self) -> str:
        """What a lab in a frame is asked for."""
        return urlencode(self.query, safe=",")


class Step(NamedTuple):
    """Heading; Markdown; what is shown. choices: (text, is it right), where something is asked; answer and after: what is then said and shown.

    covered: nothing is shown until somebody predicts; `show` is then the picture of the step before.
    """

    title: str
    text: str
    show: State
    choices: tuple[tuple[str, bool], ...]
    answer: str
    after: State | None
    covered: bool
    line: int


class Lesson(NamedTuple):
    """name: in the address; summary: one sentence, for the card."""

    name: str
    title: str
    summary: str
    steps: tuple[Step, ...]
    numbers: tuple[Number, ...]

    @property
    def states(self) -> list[State]:
        """All that its frame shows, in order, each once."""
        return list(dict.fromkeys(state for step in self.steps for state in (step.show, step.after) if state))


def read(path: pathlib.Path) -> Lesson:
    """The lesson in a file, or a Mistake."""
    try:
        if path.stat().st_size > LONGEST:
            raise Mistake(path, 1, f"the file has {path.stat().st_size:,} bytes; a lesson has at most {LONGEST:,}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Mistake(path, 1, f"byte {error.start} is no UTF-8; save the file as UTF-8 text") from None
    except OSError as error:
        raise Mistake(path, 1, f"the file cannot be read: {error.strerror}") from None
    return _Reader(path, lines).lesson()


class _Reader:
    def __init__(self, path: pathlib.Path, lines: list[str]):
        self.path, self.lines = path, lines

    def fail(self, line: int, text: str):
        raise Mistake(self.path, line, text)

    def image(self, words: str, name: str, line: int) -> str:
        """A picture as Markdown that holds it, so that a lesson needs no server of files; a name, not a path, is what it is asked for by."""
        file = self.path.parent / name
        if not words.strip():
            self.fail(line, f"the picture {name[:60]!r} has no words; write what is seen on it, for those who do not see it: ![a valley](valley.png)")
        if file.name != name or file.suffix.lower() not in DRAWN or not file.is_file():
            self.fail(line, f"the picture {name[:60]!r} is no file beside the lesson; put it there, as {', '.join(DRAWN)}")
        if file.stat().st_size > HEAVIEST:
            self.fail(line, f"the picture {name[:60]!r} has {file.stat().st_size:,} bytes; at most {HEAVIEST:,}, make it smaller")
        return f"![{words}](data:image/{DRAWN[file.suffix.lower()]};base64,{base64.b64encode(file.read_bytes()).decode()})"

    def lesson(self) -> Lesson:
        self.lines = [IMAGE.sub(lambda found, i=i: self.image(found[1], found[2], i), line) for i, line in enumerate(self.lines, 1)]
        heads = [i for i, line in enumerate(self.lines) if line.startswith("## ")]
        first = next((i for i, line in enumerate(self.lines) if line.strip()), 0)
        if not self.lines or not self.lines[first].startswith("# "):
            self.fail(first + 1, "a lesson begins with its title: # What is degeneracy?")
        if not heads:
            self.fail(len(self.lines), "the lesson has no step; a step begins with ## and its heading, and has a line show: with the state of a lab")
        summary = " ".join(line.strip() for line in self.lines[first + 1 : heads[0]] if line.strip())
        if not summary or summary.startswith(WORDS):
            self.fail(first + 2, "after the title comes one sentence that says what the lesson is about: it stands on the card")
        steps: list[Step] = []
        for start, end in zip(heads, [*heads[1:], len(self.lines)], strict=True):
            steps.append(self.step(start, end, (steps[-1].after or steps[-1].show) if steps else None))
        numbers = tuple(Number(found[1].strip(), found[2].strip(), i) for i, line in enumerate(self.lines, 1) for found in NUMBER.finditer(line))
        return Lesson(self.path.stem, self.lines[first][2:].strip(), summary, tuple(steps), numbers)

    def step(self, start: int, end: int, before: State | None) -> Step:
        title = self.lines[start][3:].strip() or self.fail(start + 1, "a step needs a heading: ## Two minima, both perfect")
        text, answer, choices, states, part, asked = [], [], [], {}, "text", 0
        covered = 0
        i = start + 1
        while i < end:
            line, number = self.lines[i].strip(), i + 1
            word = next((word for word in WORDS if line.startswith(word)), "")
            rest = line[len(word) :].strip()
            i += 1
            if word == "show:" and rest == "nothing" and part == "text":
                covered = number
            elif word == "show:":
                while i < end and self.lines[i].strip().startswith("&"):
                    rest, i = rest + self.lines[i].strip(), i + 1
                if part in states:
                    self.fail(number, f"a second show: for the same picture; keep one {'after answer:' if part == 'answer' else 'a step'}")
                states[part] = self.state(rest, states.get("text", before), number)
            elif word == "question:":
                if part != "text":
                    self.fail(number, "one question a step, and it comes before its answer:")
                part, asked = "question", number
                text += ["", f"**{rest}**" if rest else self.fail(number, "question: needs its text, on the same line")]
            elif word == "answer:":
                if part != "question":
                    self.fail(number, "answer: belongs after a question: with its choices, in the same step")
                part = "answer"
                answer.append(rest)
            elif part == "question" and line:
                found = CHOICE.fullmatch(line) or self.fail(
                    number, "after question: come its choices, - [ ] wrong or - [x] right, each on one line, and then answer:"
                )
                choices.append((found[2], found[1] != " "))
            else:
                self.slip(line, number)
                (answer if part == "answer" else text).append(self.lines[i - 1].rstrip())
        if part == "question":
            self.fail(asked, "this question has no answer:")
        if part == "answer" and not (len(choices) > 1 and sum(right for _, right in choices) == 1):
            self.fail(asked, "a question has at least two choices, - [ ] wrong and - [x] right, one of them right")
        if covered and ("answer" not in states or "text" in states):
            self.fail(
                covered, "show: nothing is for a question whose picture tells the answer; give that picture as show: after answer:, and no other"
            )
        show = states.get("text", before) or self.fail(start + 1, "the first step needs a line show: with the state of a lab, its link or its query")
        for kind, lines in (("step", text), ("answer", answer)):
            if "$$" in FORMULA.sub("", "\n".join(lines)):
                self.fail(start + 1, f"a formula of the {kind} has no end; it stands between $$ and $$, or $ and $")
            if not "".join(lines).strip() and (kind == "step" or part == "answer"):
                self.fail(start + 1, f"the {kind} has no text")
        return Step(title, "\n".join(text).strip(), show, tuple(choices), "\n".join(answer).strip(), states.get("answer"), bool(covered), start + 1)

    def slip(self, line: str, number: int) -> None:
        """Fail at what looks like a word of this format and would be shown as text: an answer given away, a picture that is another."""
        if line.lower().startswith(WORDS):
            word = line.partition(":")[0].lower()
            self.fail(number, f"{line[:40]!r} would be shown as text; write {word}: in small letters")
        if re.match(r"(&\w|[\w.]+=[^\s=]+(&|$))", line):
            self.fail(number, f"{line[:40]!r} would be shown as text; a state goes on right below its show:, in lines that begin with &")
        bare = NUMBER.sub("", FORMULA.sub("", line))
        if "{{" in bare or "}}" in bare:
            self.fail(number, f"{line[:40]!r}: a number is written {{{{0.117|what it is}}}}")

    def state(self, text: str, before: State | None, line: int) -> State:
        """`text` is a link, a query, or, beginning with &, what changes of the state before."""
        if text.startswith("&"):
            if before is None:
                self.fail(line, "show: & changes the state before, and there is none; give the whole state")
            given = {"page": before.page, "figures": ",".join(before.figures), **dict(before.query)}
        else:
            given = {}
        query = urlsplit(text).query if "://" in text else text.lstrip("?")
        if " " in query or not query.strip("&"):
            self.fail(line, f"show: {text[:60]!r}; give a lab's link, or its query such as page=landscape&landscape=Valley&p=1, without spaces")
        try:
            values = dict(parse_qsl(query.lstrip("&"), keep_blank_values=True, strict_parsing=True, max_num_fields=200))
        except ValueError:
            self.fail(line, f"show: {text[:60]!r}; every value is written name=value, and & stands between them")
        if text.startswith("&") and values.get("page", before.page) != before.page:
            self.fail(line, "show: & keeps the lab; give the whole state of another lab, beginning with page=")
        given |= values
        page = given.get("widget") or given.get("page") or "landscape"
        from app.pages import PAGES  # which knows them all, and this file too

        labs = [name for name in PAGES if name not in ("home", "lessons")]
        if page not in labs:
            self.fail(line, f"page={page}; choose a lab: {', '.join(labs)}")
        figures = tuple(name for name in given.get("figures", "").split(",") if name)
        return State(page, figures, tuple((name, value) for name, value in given.items() if name not in FRAME), line)


# All lessons


class Shelf(NamedTuple):
    """Lessons in the order of their files' names, and what is wrong with files that could not be read."""

    lessons: dict[str, Lesson]
    mistakes: tuple[str, ...]


def shelf() -> Shelf:
    """The lessons of this package, then those of the folder that the environment variable names. Read anew where a file has changed."""
    lessons, mistakes = {}, []
    for folder in filter(None, (HERE, os.environ.get(OWN, ""))):
        folder = pathlib.Path(folder).expanduser()
        if not folder.is_dir():
            mistakes.append(f"{OWN} = {str(folder)!r} is no folder; name one with lessons (*.md) in it")
            continue
        for path in sorted(folder.glob("*.md")):
            if path.stem == "README":
                continue
            try:
                lesson = _known(path, tuple(file.stat().st_mtime_ns for file in sorted(folder.iterdir())))  # a lesson may show pictures
            except (Mistake, OSError) as mistake:
                mistakes.append(str(mistake))
                continue
            if lesson.name in lessons:
                mistakes.append(f"{path.name} in {folder} has the name of another lesson, which it replaces; rename the file to have both")
            lessons[lesson.name] = lesson
    return Shelf(lessons, tuple(mistakes))


@functools.lru_cache(maxsize=200)
def _known(path: pathlib.Path, changed: tuple[int, ...]) -> Lesson:
    return read(path)


def misspelt(tex: str) -> Iterator[str]:
    """What looks like a slip in a formula: braces without their pair, a command that is none and is nearly another."""
    bare = re.sub(r"\\[{}]", "", tex)
    if bare.count("{") != bare.count("}"):
        yield f"opens {bare.count('{')} braces and closes {bare.count('}')}"
    for name in dict.fromkeys(re.findall(r"\\[a-zA-Z]+", tex)):
        try:
            unknown = name in convert(name)  # what it does not know stays as it is
        except Exception:  # it wants more than its name
            continue
        near = difflib.get_close_matches(name, SYMBOLS, 1, 0.8) if unknown else []
        if near:
            yield f"has {name}; did you mean {near[0]}?"


def misfits(lesson: Lesson, heard: Mapping[str, object]) -> Iterator[str]:
    """What labs cannot use of a lesson's states, and slips in formulas; heard: {page: function that takes a query and returns messages}."""
    for step in lesson.steps:
        for tex in formulas(step.text, step.answer, *(words for words, _ in step.choices)):
            for text in misspelt(tex):
                yield f"{lesson.name}.md, line {step.line}: the formula “{tex[:40]}” {text}"
    for state in lesson.states:
        query = dict(state.query) | ({"figures": ",".join(state.figures)} if state.figures else {})
        for message in heard[state.page](query) if state.page in heard else ():
            yield f"{lesson.name}.md, line {state.line}: {message}"


# Text

_markdown = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")


def inline(text: str) -> str:
    """A line with $formulas$ as HTML with MathML; one that is no TeX stays as it is written."""

    def formula(found) -> str:
        try:
            return convert(found[1] or found[2])
        except Exception:  # whatever somebody has written
            return html.escape(found[0])

    ends = [0, *(end for found in FORMULA.finditer(text) for end in found.span()), len(text)]
    plain = [html.escape(text[a:b]) for a, b in zip(ends[::2], ends[1::2], strict=True)]
    return "".join(itertools.chain.from_iterable(itertools.zip_longest(plain, map(formula, FORMULA.finditer(text)), fillvalue="")))


def rendered(text: str, checked: bool = True) -> str:
    """Markdown with $formulas$ and marked numbers as HTML; formulas stay TeX between the signs that MathJax looks for.

    checked: numbers are marked as computed, which those of this package are, by a test; else as what their author calls them.
    """
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\ue000{len(kept) - 1}\ue001"  # from the private area of Unicode, so that Markdown leaves it alone

    def formula(found) -> str:
        tex = NUMBER.sub(lambda number: number[1].strip(), found[1] or found[2])
        tex = tex.replace("<", r"\lt ").replace(">", r"\gt ")
        return keep(f"$${tex}$$" if found[1] else rf"\({tex}\)")

    def number(found) -> str:
        value, name = (html.escape(found[i].strip()) for i in (1, 2))
        return keep(f'<span class="computed" data-help="{"Computed, and compared with this text by a test" if checked else name}">{value}</span>')

    def whole(found) -> str:  # a sign never begins a line without its formula
        piece, signs = kept[int(found[1])], found[2]
        return f'<span style="white-space: nowrap">{piece}{signs}</span>' if signs and piece.startswith(r"\(") else piece + signs

    def image(found) -> str:
        return keep(f'<img alt="{html.escape(found[1])}" src="{html.escape(found[2])}">') if found[2].startswith("data:image/") else found[0]

    text = NUMBER.sub(number, FORMULA.sub(formula, IMAGE.sub(image, text)))
    shown = re.sub("\ue000(\\d+)\ue001([.,;:)?!]*)", whole, _markdown.render(text))
    return re.sub(r"(?<=[\d>]) %", "\u00a0%", shown)


def formulas(*texts: str) -> list[str]:
    """The TeX of all formulas in order: their names for those who do not see them."""
    return [NUMBER.sub(lambda number: number[1].strip(), found[1] or found[2]).strip() for text in texts for found in FORMULA.finditer(text)]


def figures(states: Iterable[State], page: str) -> tuple[str, ...]:
    """All figures of one lab that a lesson shows; none stands for all of the lab's."""
    of = [state.figures for state in states if state.page == page]
    return () if not all(of) else tuple(dict.fromkeys(name for names in of for name in names))
