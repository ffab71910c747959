// Lessons in the browser: an index of cards, or one lesson, its text beside a frame with a live lab. The address is the state.

export function render({model, view}) {
  const root = element("div", {class: "lab lessons", tabindex: -1})
  root.append(element("style", {text: model.style}))
  const header = topBar("lessons", Boolean(model.lesson.name))
  const {lesson} = model, own = Boolean(lesson.name)
  const link = (name, step = 1) => address({page: "lessons", lesson: name, step})
  const moved = [] // called when theme or type size has changed
  const body = own ? reading() : index()
  root.append(header, body, noticeBoard(model), helpBubble(root))
  header.append(...looks(root, model, () => moved.forEach(tell => tell())))
  requestAnimationFrame(() => { root.dataset.drawn = 1 })
  return root

  function index() {
    const cards = model.cards.map(({name, title, summary, steps, questions}, i) => element("li", {}, element("a", {class: "lesson", href: link(name)},
      element("span", {class: "number", "aria-hidden": "true", text: i + 1}), element("h2", {text: title}), element("p", {text: summary}),
      element("p", {class: "length", text: `${steps} step${steps === 1 ? "" : "s"}${questions ? `, ${questions} to predict` : ""}`}))))
    return element("main", {class: "index"},
      element("h1", {text: "Lessons"}),
      element("p", {class: "lead", text: "Short stories beside a live lab. Predict before you look; move any slider on the way; at the end the lab is yours."}),
      element("ol", {class: "cards"}, ...cards),
      element("details", {class: "write"}, element("summary", {text: "Write a lesson of your own"}),
        element("p", {text: "A lesson is one Markdown file in a folder that the environment variable LAMBDASCAPE_LESSONS names when the server starts. No Python. A state is the link of any lab (“Copy link”)."}),
        element("pre", {text: EXAMPLE}),
        element("p", {text: "show: beginning with & changes only the values named; show: nothing hides the picture until somebody predicts. $…$ and $$…$$ are formulas. In your own file a mistake is told here with its line; the other lessons still work. The whole format is in CONTRIBUTING.md."})))
  }

  function reading() {
    const {steps} = lesson, last = steps.length - 1
    let step = model.step, revealed = false
    const title = element("h1", {text: lesson.title}), heading = element("h2", {class: "heading"})
    const text = element("div", {class: "text"}, ...[].concat(model.get_child("text")))
    const answer = element("div", {class: "answer", hidden: true, tabindex: -1, "aria-live": "polite"}, ...[].concat(model.get_child("answer")))
    const choices = element("div", {class: "choices", role: "group", "aria-label": "Your prediction"})
    const dots = element("ol", {class: "dots", "aria-label": "Steps"}, ...steps.map((one, i) => element("li", {},
      element("button", {type: "button", "aria-label": `Step ${i + 1}: ${one.title}`, title: one.title, onclick: () => go(i)}))))
    const back = pushButton("← Back", "One step back (←)", () => go(step - 1)), on = pushButton("Next →", "One step on (→)", () => go(step + 1), {class: "go"})
    const count = element("span", {class: "count"})
    const lab = element("a", {class: "play", target: "_top"})
    const follow = () => { lab.href = `?${here()}` } // with what has been changed in the frame
    for (const kind of ["pointerdown", "focus", "pointerenter"]) lab.addEventListener(kind, follow)
    const again = pushButton("↺", "Back to this step's picture", () => place(false))
    const further = lesson.next ? element("a", {class: "further", href: link(lesson.next.name), text: `Next lesson: ${lesson.next.title} →`}) : element("a", {class: "further", href: address({page: "lessons"}), text: "All lessons"})
    const scroll = element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Text of this step"}, heading, text, choices, answer, element("div", {class: "row end"}, lab, again), further)
    const panel = element("section", {class: "reading", "aria-label": "Lesson"},
      element("div", {class: "top"}, element("a", {class: "up", href: address({page: "lessons"}), text: "Lessons"}), title), dots, scroll,
      element("div", {class: "foot"}, back, count, on))
    const frame = element("iframe", {title: "Live lab of this step", allow: "clipboard-write"})
    const waiting = element("div", {class: "waiting", role: "status"}, element("span", {text: "Opening the lab …"}))
    const cover = (kind, words) => { // over the frame: "opening", "computing" the picture of this step, "before" it where a prediction comes first, or nothing
      waiting.hidden = !kind
      waiting.dataset.kind = kind
      if (kind) waiting.firstChild.textContent = words
    }

    // the frame: the same lab is asked for another state, another lab is another page
    let wanted = null, key = null, ticket = 0
    const tones = () => ({theme: root.dataset.theme, projector: root.classList.contains("projector")})
    const current = () => revealed && steps[step].after || (revealed || step >= 0) && steps[step].show
    const here = () => {
      const hidden = steps[step].covered && !revealed
      const there = !hidden && listening() && !(settled() < ticket) // what a reader has changed goes along; what was just asked for is not there yet
      const own = new URLSearchParams(there ? frame.contentWindow.location.search : `?${(hidden && steps[step].after || current()).src}`), page = own.get("widget")
      for (const name of FRAME) own.delete(name)
      const seen = (hidden && steps[step].after || current()).view // first among the lab's figures
      const query = new URLSearchParams([["page", page], ...(seen ? [["figures", seen]] : []), ...own])
      const now = new URLSearchParams(window.location.search)
      for (const name of LOOKS) if (now.has(name)) query.set(name, now.get(name))
      return query.toString().replaceAll("%2C", ",")
    }
    const listening = () => { try { return Boolean(frame.contentWindow?.listening) } catch { return false } }
    const send = () => {
      if (!wanted) return
      if (!listening()) return setTimeout(send, 40)
      frame.contentWindow.postMessage(wanted, window.location.origin)
      wanted = null
    }
    const place = (clear = true) => { // clear: nothing lies over another picture
      const state = current()
      if (state.key === key) {
        const idle = !wanted
        wanted = {open: state.open, view: state.view, clear, ticket: ++ticket, ...tones()}
        if (waiting.dataset.kind !== "opening") cover("computing", "Computing …")
        if (idle) send()
        watch()
        return
      }
      key = state.key
      wanted = null
      ticket = 0
      const address = `${window.location.pathname}?${state.src}&theme=${tones().theme}${tones().projector ? "&projector=1" : ""}`
      cover("opening", "Opening the lab …")
      watch()
      if (frame.isConnected && frame.contentWindow) { Object.assign(frame.contentWindow, {listening: false, settled: undefined}); frame.contentWindow.location.replace(address) } else frame.src = address // replaced: Back leads to the step before, not to a frame
    }
    const settled = () => { try { return frame.contentWindow?.settled } catch { return null } }
    let watching = 0
    const watch = () => { clearTimeout(watching); watching = setTimeout(arrived, 60) }
    const arrived = () => {
      if (listening() && settled() >= ticket) return steps[step].covered && !revealed ? cover("before", "Predict first; the picture follows") : cover("")
      if (root.isConnected || !root.dataset.drawn) watch()
    }
    moved.push(() => { if (key) { wanted ??= tones(); Object.assign(wanted, tones()); send() } })

    // a button that goes, or is no more for use, takes the focus with it: the next Tab shall go on from here
    const focused = () => root.getRootNode().activeElement
    const keepFocus = (to, change) => {
      const held = panel.contains(focused())
      change()
      if (held && !(panel.contains(focused()) && focused().offsetParent && !focused().disabled)) to.focus({preventScroll: true})
    }
    const choose = (button, right) => {
      if (!revealed) {
        revealed = true
        for (const [i, other] of [...choices.querySelectorAll("button")].entries()) {
          other.classList.toggle("right", steps[step].choices[i]?.[1] === true)
          other.setAttribute("aria-pressed", String(other === button))
        }
        button.classList.toggle("wrong", !right && button.dataset.choice !== undefined)
        answer.hidden = false
        keepFocus(answer, () => { choices.dataset.answered = right ? "right" : button.dataset.choice === undefined ? "shown" : "wrong" })
        requestAnimationFrame(narrow)
        if (steps[step].after) place()
        answer.scrollIntoView({block: "nearest", behavior: "smooth"})
      }
    }
    const ask = () => {
      const asked = steps[step].choices
      delete choices.dataset.answered
      choices.hidden = !asked.length
      choices.replaceChildren(...asked.map(([words, right], i) => { const button = element("button", {type: "button", "data-choice": i, onclick: () => choose(button, right)})
        button.innerHTML = words // escaped, with its formulas as MathML
        return button
      }),
        ...(asked.length ? [(() => { const button = element("button", {type: "button", class: "show", text: "Show the answer", onclick: () => choose(button, false)}); return button })()] : []))
    }
    const furnish = () => {
      const one = steps[step]
      heading.textContent = one.title
      count.textContent = `${step + 1} / ${steps.length}`
      further.hidden = step !== last
      lab.textContent = step === last ? "Now play: open this in the lab" : "Open in the lab"
      lab.classList.toggle("go", step === last)
      follow()
      for (const [i, dot] of [...dots.querySelectorAll("button")].entries()) { dot.setAttribute("aria-current", i === step ? "step" : "false"); dot.classList.toggle("seen", i < step) }
      revealed = false
      keepFocus(scroll, () => {
        answer.hidden = true
        ask()
        back.disabled = step === 0
        on.disabled = step === last
      })
      scroll.scrollTop = 0
      place()
      root.dataset.step = step + 1
    }
    const go = (to, push = true) => {
      if (to < 0 || to > last || to === step) return
      step = to
      if (push) {
        const query = new URLSearchParams(window.location.search)
        query.set("step", step + 1)
        window.history.pushState(null, "", `?${query}`)
      }
      text.style.visibility = "hidden" // until it is that of this step
      heading.textContent = steps[step].title
      model.send_msg({step})
      furnish()
    }
    const typeset = () => { if (model.step === step) { text.style.visibility = ""; root.dataset.text = step + 1; requestAnimationFrame(narrow) } }
    // a formula that is wider than its column is set in smaller type
    const narrow = () => {
      for (const part of [text, answer]) for (const {shadowRoot} of part.querySelectorAll("*")) for (const box of shadowRoot?.querySelectorAll("mjx-container") ?? []) {
        box.style.fontSize = ""
        const room = box.parentElement.clientWidth, wide = box.getAttribute("display") ? box.scrollWidth : box.offsetWidth
        if (room && wide > room) box.style.fontSize = `${Math.max(60, Math.floor(98 * room / wide))}%`
      }
    }
    new ResizeObserver(() => requestAnimationFrame(narrow)).observe(scroll)
    model.on("step", () => setTimeout(typeset))
    window.addEventListener("popstate", () => { if (root.isConnected) go(Math.max(0, Math.min(last, (+new URLSearchParams(window.location.search).get("step") || 1) - 1)), false) })
    // clickers of lecturers send these two: from within the frame as well, where the arrows move sliders
    frame.addEventListener("load", () => frame.contentWindow.addEventListener("keydown", event => {
      const by = {PageDown: 1, PageUp: -1}[event.key]
      if (!by || event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "TEXTAREA"].includes(event.composedPath()[0].tagName)) return
      event.preventDefault()
      go(step + by)
    }))
    document.addEventListener("keydown", event => {
      const from = event.composedPath()[0]
      if (!root.isConnected || event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(from.tagName)) return
      const by = {ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1}[event.key]
      if (by) { event.preventDefault(); go(step + by) }
    })
    const query = new URLSearchParams(window.location.search)
    if (query.get("step") !== String(step + 1)) { query.set("step", step + 1); window.history.replaceState(null, "", `?${query}`) }
    model.on("after_render", () => { worded(text, i => model.tex[i] ?? "formula"); worded(answer, () => "formula"); typeset()
      for (const part of [text, answer]) for (const {shadowRoot} of part.querySelectorAll("*")) if (shadowRoot) new MutationObserver(() => requestAnimationFrame(narrow)).observe(shadowRoot, {childList: true, subtree: true})
    })
    setTimeout(furnish) // once the theme is known
    return element("div", {class: "body"}, panel, element("div", {class: "stage"}, frame, waiting))
  }
}

const EXAMPLE = `# Two valleys
What SGD does where Bayes does something else.

## Both are perfect
show: page=landscape&figures=potential,shares
&landscape=DoubleWell&w0=1.8&d1=1&d2=2&lr=0.01&b.rule=none

Both minima fit equally well: $K(w) = 0$ at $w = \\pm 1.8$.

question: What happens at twice the learning rate?
- [ ] Nothing
- [x] SGD leaves the left valley
answer: The left valley is too sharp for steps of this length.
show: &lr=0.02`
