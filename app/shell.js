// What every page has around it: its name, the way to the others, theme, type size, link, notices, help.

const PAGES = [["landscape", "Landscape"], ["escape", "Escape"], ["llc", "Estimate λ"], ["dln", "Deep linear"], ["networks", "Networks"], ["lessons", "Lessons"]]
const LOOKS = ["theme", "projector"] // stay with the visitor from page to page
const FRAME = ["page", "widget", "figures", "view", "maps", ...LOOKS] // what the address says besides the state

const address = values => {
  const query = new URLSearchParams(values), now = new URLSearchParams(window.location.search)
  for (const name of LOOKS) if (now.has(name)) query.set(name, now.get(name))
  return `${window.location.pathname}?${query}`
}

// the bar above every page: name, the other pages, link and snippet where there is a state; `looks` are added at its end
const topBar = (current, state = true) => element("header", {},
  element("a", {class: "brand", href: address({}), title: "lambdascape: start"}, element("span", {class: "logo", "aria-hidden": "true"}), element("span", {text: "lambdascape"})),
  element("nav", {class: "pages", "aria-label": "Pages"}, ...PAGES.map(([page, text]) => element("a", {href: address({page}), "aria-current": page === current ? "page" : null, text}))),
  element("span", {class: "spring"}), ...(state ? [copyLink(), embed()] : []))

// the address is the state; frame: what else it shall say from now on (null: no more)
const remember = (query, frame = {}) => {
  const now = new URLSearchParams(window.location.search), next = new URLSearchParams(query)
  for (const name of FRAME) {
    const value = name in frame ? frame[name] : now.get(name)
    if (value != null) next.set(name, value)
    else next.delete(name)
  }
  const text = `?${next.toString().replaceAll("%2C", ",")}`
  if (text !== window.location.search) window.history.replaceState(null, "", text)
}

// a tablet lays the page out in its own width; Panel's page has no such line
if (!document.querySelector("meta[name=viewport]")) document.head.append(Object.assign(document.createElement("meta"), {name: "viewport", content: "width=device-width, initial-scale=1"}))

// its name is what it says, or, where that is a sign only, its help
const pushButton = (text, help, onclick, extra = {}) => element("button", {type: "button", title: help, "aria-label": /\p{L}{2}/u.test(text) ? null : help, onclick, text, ...extra})

// what is in view as a file: the server makes it, the browser keeps it
const saveMenu = (model, kinds, name = "Save …") => {
  const head = element("option", {value: "", text: name})
  let focused = false, stepped = false // with arrows on the closed list, each of which is a change: Enter takes the file
  const busy = yes => {
    if (yes) focused = menu.matches(":focus")
    menu.disabled = yes
    menu.classList.toggle("busy", yes)
    head.textContent = yes ? "Saving …" : name
    if (!yes && focused && !menu.getRootNode().activeElement) menu.focus()
  }
  const send = () => { model.send_msg({save: menu.value}); menu.value = ""; stepped = false; busy(true) }
  const menu = element("select", {class: "save", title: "Save what is in view as a file", "aria-label": "Save as a file",
    onpointerdown: () => { stepped = false },
    onkeydown: event => {
      if (event.key !== "Enter") stepped = !["Tab", " "].includes(event.key)
      else if (stepped && menu.value) { event.preventDefault(); send() }
      else stepped = false
    },
    onchange: () => { if (!stepped) send() }},
    head, ...kinds.map(([value, text]) => element("option", {value, text})))
  model.on("notices", () => busy(false)) // it says why there is no file
  model.on("file", () => {
    busy(false)
    const {name, type, data} = model.file
    if (!name) return
    const url = URL.createObjectURL(new Blob([Uint8Array.from(atob(data), letter => letter.charCodeAt(0))], {type})), link = element("a", {href: url, download: name})
    menu.after(link)
    link.click()
    link.remove()
    setTimeout(() => URL.revokeObjectURL(url), 10000)
  })
  return menu
}

const copyLink = () => {
  const share = pushButton("Copy link", "Copy a link to exactly this picture", async () => {
    try { await navigator.clipboard.writeText(window.location.href); share.textContent = "Copied" }
    catch { window.prompt("Link to this picture", window.location.href) }
    setTimeout(() => { share.textContent = "Copy link" }, 1500)
  })
  return share
}

// the state in view as a frame for a slide
const embed = () => pushButton("Embed", "A frame with this picture, for a slide or a web page", event => {
  const link = new URL(window.location.href), page = link.searchParams.get("page") || "landscape"
  link.searchParams.delete("page")
  const query = new URLSearchParams([["widget", link.searchParams.get("widget") ?? page], ...[...link.searchParams].filter(([name]) => name !== "widget")])
  const lab = event.target.getRootNode().querySelector(".lab")
  if (lab.classList.contains("projector")) query.set("projector", "1")
  const state = new URLSearchParams([["page", page], ...[...query].filter(([name]) => name !== "widget" && !LOOKS.includes(name))])
  const snippet = `<iframe src="${link.origin}${link.pathname}?${query.toString().replaceAll("%2C", ",")}" title="lambdascape: ${page}" width="100%" height="520" style="border: 0"></iframe>`
  const text = element("textarea", {readonly: true, rows: 6, "aria-label": "Snippet", text: snippet})
  const copy = pushButton("Copy", "Copy the snippet", async () => {
    try { await navigator.clipboard.writeText(snippet); copy.textContent = "Copied" } catch { text.select() }
  })
  const box = element("dialog", {class: "embed", "aria-label": "Embed this picture", onclose: () => box.remove()}, element("h2", {text: "Embed this picture"}),
    element("p", {text: "Paste it into reveal.js, Quarto, Jupyter Book or Moodle. The frame plays this state from its first step, without the bar; figures=… in it names the figures, else those that have room. It needs this server, which may run on the lecturer's own machine."}),
    text, ...page === "lessons" ? [] : [element("p", {text: "One file that needs no server and no internet, alive or with its recorded frames, is written by:"}),
    element("pre", {class: "command", tabindex: 0, text: `python -m app export "${state.toString().replaceAll("%2C", ",")}" --out widget.html`})],
    element("div", {class: "row"}, copy, pushButton("Close", "Close", () => box.close())))
  lab.append(box)
  box.showModal()
  text.select()
})

// in a frame the controls are a drawer; the page around it, if it is ours, may ask for another state, for some of the figures only, and for its own looks
const framed = (root, model, look, fit) => {
  const only = element("style")
  const show = names => {
    root.classList.toggle("worded", Boolean(names?.split(",").includes("words")))
    only.textContent = names ? `figure.cell:not(${names.split(",").filter(name => /^[\w-]+$/.test(name)).map(name => `[data-name="${name}"]`).join()}) { display: none; }` : ""
  }
  window.addEventListener("message", ({origin, source, data}) => {
    if (origin !== window.location.origin || source !== window.parent || !data) return
    if (typeof data.view === "string") { show(data.view); fit() }
    if (["light", "dark"].includes(data.theme)) look(data.theme, Boolean(data.projector))
    if (typeof data.open === "string") {
      awaited(data.ticket ?? 0, root)
      if (data.clear) open(false)
      root.dispatchEvent(new CustomEvent("opened", {detail: data.open}))
      model.send_msg({open: data.open.slice(0, 8000)})
    }
    if (typeof data.view === "string") model.send_msg({view: data.view}) // once the state is that which it belongs to
  })
  window.listening = true // so that the page around it knows when to speak
  const open = yes => drawer.setAttribute("aria-expanded", String(root.classList.toggle("open", yes)))
  const drawer = pushButton("☰", "Settings", () => open(), {class: "drawer", "aria-expanded": "false"})
  if (!model.widget) {
    if (root.querySelector("aside")) root.querySelector("header").prepend(drawer) // on a window too narrow for both
    return
  }
  root.classList.add("widget")
  handOn()
  root.append(only)
  const own = new URLSearchParams(window.location.search)
  show(own.get("view"))
  if (own.has("figures") || own.has("view")) root.dataset.named = 1 // its author has chosen the figures
  ;(root.querySelector("main > .player, main > .bar") ?? root).append(drawer) // in a line of its own it covers nothing
}

// what the page around a frame has asked for last, and what of it is drawn: it looks here
const awaited = (ticket, root) => {
  window.asked = ticket
  clearTimeout(window.patience)
  window.patience = setTimeout(() => { if (window.asked === ticket) window.settled = ticket }, 12000) // whatever happens
}
const settle = () => { window.settled = window.asked ?? 0 }
// whether a picture's query has all that was asked for; numbers may be written in other ways
const answers = (query, asked) => {
  const has = new URLSearchParams(query), same = (a, b) => a === b || (a !== "" && b !== "" && +a === +b)
  if ((has.get("preset") ?? "") !== (new URLSearchParams(asked).get("preset") ?? "")) return false
  return [...new URLSearchParams(asked)].every(([name, text]) => {
    const own = has.get(name)?.split(","), parts = text.split(",")
    return !own || (own.length === parts.length && parts.every((part, i) => same(part.trim(), own[i].trim())))
  })
}

// figures fill the window in two rows, a frame in as many as let them be largest; never too low to read. A frame that names no figures shows those
// that have room, `order` first
const heightOf = (root, main, grid, order = []) => {
  const framed = root.classList.contains("widget"), free = framed && !root.dataset.named && !root.classList.contains("recorded"), large = root.classList.contains("projector")
  if (free) for (const figure of grid.querySelectorAll("figure.spare")) figure.classList.remove("spare")
  let figures = [...grid.querySelectorAll("figure:not([hidden])")].filter(figure => getComputedStyle(figure).display !== "none")
  const top = grid.getBoundingClientRect().top - root.getBoundingClientRect().top + main.scrollTop
  const caption = Math.max(0, ...figures.map(figure => figure.querySelector("figcaption").offsetHeight))
  const texts = framed ? [...grid.querySelectorAll(".why")].reduce((sum, text) => sum + text.offsetHeight, 0) : 0
  const foot = root.querySelector(":scope > footer")?.offsetHeight ?? 0 // a recording's slider
  const room = root.clientHeight - foot - top - (framed ? 14 : 26) - Math.min(texts, 0.45 * root.clientHeight)
  const most = Math.max(1, Math.floor(grid.clientWidth / (large ? 330 : 270))), least = 180
  if (free) {
    const fits = Math.max(1, most * Math.max(1, Math.floor(room / (least + caption + 6)))), rank = ({dataset: {name}}) => order.includes(name) ? order.indexOf(name) : order.length
    const kept = new Set([...figures].sort((a, b) => rank(a) - rank(b)).slice(0, fits))
    for (const figure of figures) figure.classList.toggle("spare", !kept.has(figure))
    figures = figures.filter(figure => kept.has(figure))
  }
  if (!framed) return Math.round(Math.max(210, Math.min(440, room / 2 - caption - 6)))
  const size = across => { // of a figure, in so many columns
    const rows = Math.ceil(figures.length / across)
    return Math.min(grid.clientWidth / across / 1.3, room / rows - caption - 6)
  }
  const columns = Array.from({length: Math.max(1, Math.min(most, figures.length))}, (_, i) => i + 1).reduce((best, one) => size(one) > size(best) ? one : best)
  grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`
  figures.forEach((figure, i) => { figure.style.gridColumn = i === figures.length - 1 && figures.length % columns === 1 && columns > 1 ? "1 / -1" : "" })
  return Math.round(Math.max(150, Math.min(2000, room / Math.ceil(figures.length / columns) - caption - 6)))
}

// the tab, by an id that it keeps as long as it is open: what it has started on the server goes on while its visitor is on another page, and ends with it
const present = model => {
  let tab = [...crypto.getRandomValues(new Uint32Array(4))].map(part => part.toString(36)).join("")
  if (!model.widget) try { // a frame is a tab of its own
    tab = sessionStorage.getItem("lambdascape-tab") ?? tab
    sessionStorage.setItem("lambdascape-tab", tab)
  } catch { /* private window */ }
  const say = tab => model.send_msg({tab})
  say(tab)
  window.addEventListener("pagehide", () => say(""))
  window.addEventListener("pageshow", event => { if (event.persisted) say(tab) })
}

// light or dark, and larger type; `paint` redraws what does not follow the style sheet, `fit` gives the figures their height
const looks = (root, model, paint, fit = () => {}) => {
  const set = name => { root.dataset.theme = name; document.documentElement.dataset.theme = name; paint() }
  const choose = name => { // by the visitor, so it is kept; that of a link is that link's
    set(name)
    try { localStorage.setItem("lambdascape-theme", name) } catch { /* private window */ }
    const now = new URLSearchParams(window.location.search)
    if (!now.has("theme")) return
    now.set("theme", name)
    window.history.replaceState(null, "", `?${now.toString().replaceAll("%2C", ",")}`)
  }
  let saved = null
  try { saved = localStorage.getItem("lambdascape-theme") } catch { /* private window */ }
  if (!model.widget) try { if (localStorage.getItem("lambdascape-projector")) root.classList.add("projector") } catch { /* private window */ } // a frame is as its page says
  set(model.theme || saved || (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"))
  if (model.projector) root.classList.add("projector")
  present(model)
  framed(root, model, (theme, large) => {
    if (root.dataset.theme === theme && root.classList.contains("projector") === large) return
    root.classList.toggle("projector", large)
    set(theme)
  }, fit)
  const enlarge = () => {
    const large = root.classList.toggle("projector"), now = new URLSearchParams(window.location.search)
    try { large ? localStorage.setItem("lambdascape-projector", "1") : localStorage.removeItem("lambdascape-projector") } catch { /* private window */ }
    if (!large && now.has("projector")) {
      now.delete("projector")
      window.history.replaceState(null, "", `?${now.toString().replaceAll("%2C", ",")}`)
    }
    paint()
  }
  return [pushButton("A⁺", "Larger type, for a projector", enlarge),
    pushButton("◐", "Light or dark", () => choose(root.dataset.theme === "dark" ? "light" : "dark"))]
}

const noticeBoard = model => {
  const board = element("div", {class: "notices", role: "alert"})
  const note = text => element("p", {}, element("span", {text}), pushButton("×", "Dismiss", event => event.target.closest("p").remove()))
  const show = () => {
    const [first, ...more] = model.notices.map(note)
    const folded = more.length > 1 ? [element("details", {}, element("summary", {text: `${more.length} more messages`}), ...more)] : more // they would hide the picture
    board.replaceChildren(...(first ? [first] : []), ...folded)
  }
  model.on("notices", show)
  show()
  return board
}

// a bubble with the `data-help` of what is pointed at or focused
const helpBubble = root => {
  const bubble = element("div", {class: "bubble", role: "tooltip", hidden: true})
  const help = event => {
    const target = event.composedPath().find(node => node.dataset?.help)
    bubble.hidden = !target
    if (!target) return
    bubble.textContent = target.dataset.help
    const box = target.getBoundingClientRect(), frame = root.getBoundingClientRect()
    bubble.style.left = `${Math.max(8, Math.min(box.left - frame.left, frame.width - 330))}px`
    bubble.style.top = `${box.bottom - frame.top + 6}px`
  }
  root.addEventListener("mouseover", help)
  root.addEventListener("focusin", help)
  const hide = () => { bubble.hidden = true }
  root.addEventListener("mouseleave", hide)
  root.addEventListener("keydown", event => { if (event.key === "Escape") hide() })
  window.addEventListener("blur", hide) // as when one goes from a frame to the page around it
  return bubble
}

// what MathJax draws has no words of its own: the formulas' TeX for readers of the screen
const worded = (container, words) => {
  for (const {shadowRoot} of container.querySelectorAll("*")) {
    if (!shadowRoot) continue
    const name = () => shadowRoot.querySelectorAll("svg").forEach((svg, i) => svg.setAttribute("aria-label", words(i)))
    new MutationObserver(name).observe(shadowRoot, {childList: true, subtree: true})
    name()
  }
}
