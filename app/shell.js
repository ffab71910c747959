// What every page has around it: its name, the way to the others, theme, type size, link, notices, help.

const PAGES = [["landscape", "Landscape"], ["escape", "Escape"], ["networks", "Networks"], ["llc", "λ̂"], ["dln", "Deep linear"], ["lessons", "Lessons"]]
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

const pushButton = (text, help, onclick, extra = {}) => element("button", {type: "button", title: help, "aria-label": help, onclick, text, ...extra})

// what is in view as a file: the server makes it, the browser keeps it
const saveMenu = (model, kinds) => {
  const head = element("option", {value: "", text: "Save …"})
  const busy = yes => { menu.disabled = yes; head.textContent = yes ? "Saving …" : "Save …" }
  const menu = element("select", {class: "save", title: "Save what is in view as a file", "aria-label": "Save as a file", onchange: () => { model.send_msg({save: menu.value}); menu.value = ""; busy(true) }},
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
  const state = new URLSearchParams([["page", page], ...[...query].filter(([name]) => name !== "widget" && !LOOKS.includes(name))])
  const snippet = `<iframe src="${link.origin}${link.pathname}?${query.toString().replaceAll("%2C", ",")}" title="lambdascape: ${page}" width="100%" height="520" style="border: 0"></iframe>`
  const text = element("textarea", {readonly: true, rows: 6, "aria-label": "Snippet", text: snippet})
  const copy = pushButton("Copy", "Copy the snippet", async () => {
    try { await navigator.clipboard.writeText(snippet); copy.textContent = "Copied" } catch { text.select() }
  })
  const box = element("dialog", {class: "embed", "aria-label": "Embed this picture", onclose: () => box.remove()}, element("h2", {text: "Embed this picture"}),
    element("p", {text: "Paste it into reveal.js, Quarto, Jupyter Book or Moodle. The frame shows this state without the bar; it needs this server, which may run on the lecturer's own machine."}),
    text, element("p", {text: "One file that needs no server and no internet, alive or with its recorded frames, is written by:"}),
    element("pre", {class: "command", tabindex: 0, text: `python -m app export "${state.toString().replaceAll("%2C", ",")}" --out widget.html`}),
    element("div", {class: "row"}, copy, pushButton("Close", "Close", () => box.close())))
  event.target.getRootNode().querySelector(".lab").append(box)
  box.showModal()
  text.select()
})

// in a frame: the controls are a drawer; the page around it, if it is ours, may ask for another state, for some of the figures only, and for its own looks
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
    if (typeof data.open !== "string") return
    root.dispatchEvent(new CustomEvent("opened", {detail: data.open}))
    model.send_msg({open: data.open.slice(0, 8000)})
  })
  window.listening = true // so that the page around it knows when to speak
  if (!model.widget) return
  root.classList.add("widget")
  root.append(only)
  show(new URLSearchParams(window.location.search).get("view"))
  const drawer = pushButton("☰", "Settings", () => drawer.setAttribute("aria-expanded", root.classList.toggle("open")), {class: "drawer", "aria-expanded": "false"})
  root.append(drawer)
}

// figures fill the window in two rows, a frame in as many as it takes; never too low to read
const heightOf = (root, main, grid) => {
  const figures = [...grid.querySelectorAll("figure:not([hidden])")].filter(figure => getComputedStyle(figure).display !== "none")
  const top = grid.getBoundingClientRect().top - root.getBoundingClientRect().top + main.scrollTop
  const caption = Math.max(0, ...figures.map(figure => figure.querySelector("figcaption").offsetHeight))
  const framed = root.classList.contains("widget"), most = Math.max(1, Math.floor(grid.clientWidth / 270))
  const rows = framed ? Math.max(1, Math.ceil(figures.length / most)) : 2
  if (framed) grid.style.gridTemplateColumns = `repeat(${Math.ceil(figures.length / rows) || 1}, 1fr)`
  const texts = framed ? [...grid.querySelectorAll(".why")].reduce((sum, text) => sum + text.offsetHeight, 0) : 0
  const foot = root.querySelector(":scope > footer")?.offsetHeight ?? 0 // a recording's slider
  const height = root.clientHeight - foot - top - 26 - Math.min(texts, 0.45 * root.clientHeight)
  return Math.round(Math.max(framed ? 130 : 210, Math.min(framed ? 2000 : 440, height / rows - caption - 6)))
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
  const set = name => { root.dataset.theme = name; document.documentElement.dataset.theme = name; paint(); try { localStorage.setItem("lambdascape-theme", name) } catch { /* private window */ } }
  let saved = null
  try { saved = localStorage.getItem("lambdascape-theme") } catch { /* private window */ }
  set(model.theme || saved || (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"))
  if (model.projector) root.classList.add("projector")
  present(model)
  framed(root, model, (theme, large) => {
    if (root.dataset.theme === theme && root.classList.contains("projector") === large) return
    root.classList.toggle("projector", large)
    set(theme)
  }, fit)
  return [pushButton("A⁺", "Larger type, for a projector", () => { root.classList.toggle("projector"); paint() }),
    pushButton("◐", "Light or dark", () => set(root.dataset.theme === "dark" ? "light" : "dark"))]
}

const noticeBoard = model => {
  const board = element("div", {class: "notices", role: "alert"})
  const show = () => board.replaceChildren(...model.notices.map(text => element("p", {}, element("span", {text}), pushButton("×", "Dismiss", event => event.target.closest("p").remove()))))
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
