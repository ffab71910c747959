// A recorded run of a lab: its page's own frame, figures and words, filled from the frames in the file, and a slider for the time.

(async () => {
  const {title, cite, view: first, figures, plots, frames} = JSON.parse(document.getElementById("state").textContent)
  const query = new URLSearchParams(location.search), wanted = query.get("theme") ?? document.documentElement.dataset.theme ?? ""

  // stands for what Panel hands to a page
  const listeners = {}, holders = first.names?.map(() => element("div")) ?? [], texts = first.words?.map(() => element("div", {class: "recorded-words"})) ?? []
  const model = {
    notices: [], actions: [], follow: [], examples: {}, board: {}, file: {}, csv: {}, query: "", ...first, widget: true, theme: wanted, projector: query.has("projector"),
    on: (name, listener) => (listeners[name] ??= []).push(listener),
    get_child: name => name === "figures" ? holders : texts,
    send_msg: () => {},
  }
  const tell = name => { for (const listener of listeners[name] ?? []) listener() }
  const doc = holders.length ? Bokeh.require("document").Document.from_json(figures) : null // a page may draw its figures itself
  const root = render({model, view: {model: {document: doc}, child_views: []}})
  root.classList.add("recorded")
  root.querySelector("form").inert = true // what was set then; it cannot be changed any more
  root.querySelector("aside").prepend(element("p", {class: "note", text: "These settings were recorded with the run. To change them, open the lab itself."}))
  root.addEventListener("click", event => { if (event.composedPath().some(node => node.tagName === "A")) event.preventDefault() }, true) // to a server that is not here
  document.body.append(root)
  if (holders.length) await Bokeh.embed.add_document_standalone(doc, root, doc.roots().map(plot => holders[first.names.findIndex(([name]) => plots[name] === plot.id)]))

  // a frame is all that has changed until then: latest[i] = {key: value} of both kinds
  const latest = []
  for (const {view, models} of frames) latest.push({view: {...latest.at(-1)?.view, ...view}, models: new Map([...(latest.at(-1)?.models ?? []), ...models.map(change => [`${change[0]}.${change[1]}`, change])])})
  const start = new Map() // what each was before the first frame that changes it
  for (const {models} of frames) for (const [id, attr] of models) if (!start.has(`${id}.${attr}`)) start.set(`${id}.${attr}`, doc.get_model_by_id(id)[attr])
  let at = -1, timer = null
  const go = to => {
    to = Math.max(0, Math.min(frames.length - 1, to))
    if (to === at) return
    const before = latest[at]
    const events = [...latest[to].models].filter(([key, change]) => before?.models.get(key) !== change).map(([, [id, attr, value]]) => ({kind: "ModelChanged", model: {id}, attr, new: value}))
    if (events.length) doc.apply_json_patch({events})
    for (const [key, [id, attr]] of before?.models ?? []) if (!latest[to].models.has(key)) doc.get_model_by_id(id).setv({[attr]: start.get(key)})
    const values = {...first, ...latest[to].view}
    for (const [name, value] of Object.entries(values)) {
      if (model[name] === value) continue
      model[name] = value
      if (name === "words") value.forEach((text, i) => { if (texts[i].innerHTML !== text) texts[i].innerHTML = text })
      else tell(name)
    }
    at = to
    label.textContent = frames[at].label
    scrub.value = at
    scrub.setAttribute("aria-valuetext", frames[at].label)
    root.dataset.frame = at
  }
  const pause = () => { clearInterval(timer); timer = null; play.replaceChildren(icon("play")) }
  const toggle = () => {
    if (timer) return pause()
    if (at >= frames.length - 1) go(0)
    play.replaceChildren(icon("pause"))
    timer = setInterval(() => { go(at + 1); if (at >= frames.length - 1) pause() }, 250)
  }
  const step = by => { pause(); go(at + by) }
  const label = element("output", {class: "clock"})
  const scrub = element("input", {type: "range", class: "scrub", min: 0, max: frames.length - 1, step: 1, value: 0, "aria-label": "moment of the recording", oninput: () => { pause(); go(+scrub.value) }})
  const play = element("button", {type: "button", class: "play", title: "Play or pause (space)", "aria-label": "Play or pause (space)", onclick: toggle}, icon("play"))
  const footer = element("footer", {class: "player"}, play, scrub, label, root.querySelector(".drawer"))
  for (const part of [play, scrub, label]) part.hidden = frames.length < 2
  root.append(footer)
  root.querySelector("main").prepend(element("p", {class: "recorded-title"}, element("b", {text: title}), element("span", {class: "cite", text: cite})))
  document.addEventListener("keydown", event => {
    const act = {" ": toggle, ",": () => step(-1), ".": () => step(1), Home: () => step(-frames.length), End: () => step(frames.length)}[event.key]
    if (!act || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && ["BUTTON", "SUMMARY"].includes(event.target.tagName))) return
    event.preventDefault()
    act()
  })
  tell("after_render")
  for (const name of Object.keys(first)) tell(name)
  texts.forEach((text, i) => { text.innerHTML = first.words[i] })
  go(frames.length - 1) // how it ended; the slider has how it came to that
})()
