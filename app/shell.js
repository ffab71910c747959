// What every page has around it: its name, the way to the others, theme, type size, link, notices, help.

const PAGES = [["", "Landscape lab"], ["escape", "Escape lab"]]

// links between pages keep how they look
const pages = current => element("nav", {class: "pages", "aria-label": "Pages"}, ...PAGES.map(([page, text]) => {
  const query = new URLSearchParams(page ? {page} : {}), now = new URLSearchParams(window.location.search)
  for (const name of ["theme", "projector"]) if (now.has(name)) query.set(name, now.get(name))
  return element("a", {href: `?${query}`, "aria-current": page === current ? "page" : null, text})
}))

// the address is the state; how it looks stays with the visitor
const remember = query => {
  const now = new URLSearchParams(window.location.search), next = new URLSearchParams(query)
  for (const name of ["page", "theme", "projector"]) if (now.has(name)) next.set(name, now.get(name))
  const text = `?${next.toString().replaceAll("%2C", ",")}`
  if (text !== window.location.search) window.history.replaceState(null, "", text)
}

const pushButton = (text, help, onclick, extra = {}) => element("button", {type: "button", title: help, "aria-label": help, onclick, text, ...extra})

const copyLink = () => {
  const share = pushButton("Copy link", "Copy a link to exactly this picture", async () => {
    try { await navigator.clipboard.writeText(window.location.href); share.textContent = "Copied" }
    catch { window.prompt("Link to this picture", window.location.href) }
    setTimeout(() => { share.textContent = "Copy link" }, 1500)
  })
  return share
}

// light or dark, and larger type; `paint` redraws what does not follow the style sheet
const looks = (root, model, paint) => {
  const set = name => { root.dataset.theme = name; document.documentElement.dataset.theme = name; paint(); try { localStorage.setItem("lambdascape-theme", name) } catch { /* private window */ } }
  let saved = null
  try { saved = localStorage.getItem("lambdascape-theme") } catch { /* private window */ }
  set(model.theme || saved || (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"))
  if (model.projector) root.classList.add("projector")
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
