// The frame of the pages on networks: controls at the side, buttons and state on top, figures and texts below. What they show comes from Python.

export function render({model, view}) {
  const root = element("div", {class: `lab page ${model.page}`})
  root.append(element("style", {text: model.style}))
  const act = name => model.send_msg({action: name})

  // side
  const form = element("form", {class: "controls", onsubmit: event => event.preventDefault(), "aria-label": "Settings"})
  const controls = new Controls(form, values => model.send_msg({set: values}))
  const examples = element("select", {class: "story-choice", title: "Worth looking at", "aria-label": "Example", onchange: event => model.send_msg({example: event.target.value})})
  const reset = pushButton("Reset", "Reset: back to the start (r)", () => act("reset"))
  const side = element("aside", {}, element("div", {class: "tools"}, examples, element("div", {class: "row"}, reset)), form)
  const header = topBar(model.page)

  // what runs, and what is seen
  const buttons = element("div", {class: "row"})
  const meter = element("progress", {max: 1, value: 0, "aria-label": "Progress"})
  const state = element("output", {class: "state"})
  const bar = element("div", {class: "bar"}, buttons, meter, state, saveMenu(model, model.kinds ?? []))
  const says = element("p", {class: "says", "aria-live": "polite"})
  const grid = element("div", {class: "grid"}), cells = {}
  alone(view)
  const figures = model.get_child("figures")
  model.names.forEach(([name, title, help], i) => {
    const legend = element("div", {class: "legend"})
    const caption = element("figcaption", {}, element("h2", {text: title, "data-help": help, tabindex: 0}), legend)
    cells[name] = {legend, figure: element("figure", {class: `cell ${name} waiting-cell`, "data-name": name}, caption, figures[i])}
    grid.append(cells[name].figure)
  })
  const words = model.get_child("words")
  const texts = model.headings.map((heading, i) => element("section", {class: "why", tabindex: 0}, element("h2", {text: heading}), words[i]))
  grid.append(...texts)
  const main = element("main", {}, bar, says, grid)
  root.append(header, element("div", {class: "body"}, side, main), noticeBoard(model), helpBubble(root))

  const plots = () => model.names.map(([name]) => view.model.document.get_model_by_name(name)).filter(Boolean)
  const paint = () => plots().forEach(figure => paintFigure(figure, root.dataset.theme === "dark", root.classList.contains("projector") ? 1.4 : 1))
  const fit = () => {
    const height = heightOf(root, main, grid)
    for (const figure of plots()) { figure.setv({height}, {sync: false}); sparse(figure, cells[figure.name].figure.clientWidth) }
  }

  const board = new Board(model, view, cells)

  const showControls = () => controls.show(model.controls.groups)
  const showFollowers = () => controls.replace(model.follow)
  const showExamples = () => {
    const {choices = [], chosen} = model.examples
    examples.hidden = !choices.length
    examples.replaceChildren(...choices.map(([value, text]) => element("option", {value, text, selected: value === chosen})))
  }
  const showActions = () => {
    const focus = root.getRootNode().activeElement?.dataset?.action
    buttons.replaceChildren(...model.actions.map(({name, text, help, disabled, pressed, main}) =>
      pushButton(text, help, () => act(name), {"data-action": name, disabled: Boolean(disabled), class: main ? "go" : null, "aria-pressed": pressed == null ? null : String(pressed)})))
    if (focus) (buttons.querySelector(`[data-action="${focus}"]:enabled`) ?? buttons.querySelector("button:enabled"))?.focus() // one that is over leaves it to another
  }
  const showLegends = () => {
    for (const [name, chips] of Object.entries(model.legends)) {
      const found = chips.map(([kind, text]) => element("span", {class: ["words", "hint"].includes(kind) ? kind : `chip ${kind}`, text})), old = cells[name]?.legend
      if (old && [...old.children].map(node => node.outerHTML).join() !== found.map(node => node.outerHTML).join()) old.replaceChildren(...found)
      cells[name]?.figure.classList.remove("waiting-cell") // there is something to see, or a word on why not
    }
  }
  const showSays = () => { if (says.textContent !== model.says) says.textContent = model.says; says.hidden = !model.says }
  const showHidden = () => { for (const [name, {figure}] of Object.entries(cells)) figure.hidden = model.hidden.includes(name); fit() }
  const showStatus = () => {
    const {text = "", share, running, drawn} = model.status
    if (state.textContent !== text) state.textContent = text
    meter.hidden = share == null
    meter.value = share ?? 0
    root.dataset.running = Boolean(running)
    if (drawn != null) root.dataset.drawn = drawn
    if (text.startsWith("stopped")) for (const {figure} of Object.values(cells)) figure.classList.remove("waiting-cell")
    if (drawn && adopted && !/^(burn-in|tuning)/.test(text)) settle()
  }
  let adopted = true // what a page around the frame has asked for is the state now; the next picture is that of it
  root.addEventListener("opened", () => { adopted = false })
  model.on("controls", () => { adopted = true })
  const showQuery = () => { if (model.query) remember(model.query) }
  for (const [name, show] of Object.entries({controls: showControls, follow: showFollowers, examples: showExamples, actions: showActions, legends: showLegends, says: showSays, hidden: showHidden, board: () => board.show(), status: showStatus, query: showQuery})) model.on(name, show)
  ;(model.widget ? document : root).addEventListener("keydown", event => {
    const from = event.composedPath()[0].tagName
    if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT", "TEXTAREA"].includes(from)) return
    if (event.key === "r") act("reset")
    if (event.key === " " && from !== "BUTTON" && from !== "SUMMARY" && model.actions.length) { event.preventDefault(); buttons.querySelector("button:not([disabled])")?.click() }
  })
  root.tabIndex = -1
  header.append(...looks(root, model, paint, fit))
  const watcher = new ResizeObserver(fit) // legends and words wrap as they please
  for (const node of [root, says, ...grid.querySelectorAll("figcaption")]) watcher.observe(node)
  showControls(); showExamples(); showActions(); showLegends(); showSays(); showStatus(); showQuery()
  model.on("after_render", () => { paint(); showHidden(); board.show(); texts.forEach((text, i) => worded(text, k => model.tex[i]?.[k] ?? "formula")) })
  return root
}
