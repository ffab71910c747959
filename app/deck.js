// In a frame of a deck of slides a clicker's keys (PageDown, PageUp) belong to the deck: they are told to the page around, as reveal.js understands.

const handOn = () => {
  if (window.parent === window) return
  document.addEventListener("keydown", event => {
    const method = {PageDown: "next", PageUp: "prev"}[event.key]
    if (!method || event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "TEXTAREA"].includes(event.composedPath()[0].tagName)) return
    setTimeout(() => { if (!event.defaultPrevented) window.parent.postMessage(JSON.stringify({method}), "*") }) // a page of ours has turned by itself
  })
}
