"""`panel serve serve.py`: the pages live in `app`; a script that a server runs for every visitor only calls one."""

import panel as pn

from app.pages import serve_page

pn.extension("mathjax", reconnect=True, raw_css=["html, body { margin: 0; height: 100%; overflow: hidden; }"])
# --num-threads would shuffle a visitor's messages, so that a slider could end at a value it only passed; what takes long has threads of its own
pn.config.nthreads = None
serve_page().servable(title="lambdascape", location=False)  # Panel would read the query too, and fail where ours gives a message
