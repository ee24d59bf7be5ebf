"""SnakeViz of any profile: as one self-contained page, in a notebook cell, or on this machine's loopback.

SnakeViz's own server lists and opens every file of the user, and its notebook magic shows an address that ends with the
kernel. So its page is made here instead, from its own template, scripts and numbers: nothing is fetched, and
the calculation that it gives to a web worker (whose script it would fetch) runs in the page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import pstats
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Any

from workbench.errors import ToolError, WorkbenchError
from workbench.markup import markup, safe
from workbench.profiles.exports.pstats import Stats, to_stats
from workbench.profiles.model import Profile
from workbench.report.view import View

LOOPBACK = "127.0.0.1"
# Every function is written into the page, drawn or not: more would make a notebook that is slow to open.
MOST_FUNCTIONS = 2000
_SCRIPT = re.compile(r"""<script src=["']/static/([^"']+)["']></script>""")
_STYLE = re.compile(r"""<link href=["']/static/([^"']+)["'] rel=["']stylesheet["']>""")
_WORKER = re.compile(r"""<script id="hierarchy-worker" type="javascript/worker">(.*?)</script>""", re.DOTALL)
_LINK = re.compile(r"""<a\b[^>]*\bhref=["']https?:[^>]*>(.*?)</a>""", re.DOTALL)
_IMAGE = re.compile(r"""url\(["']?\.\./(images/[\w.-]+\.png)["']?\)""")
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_OUTSIDE = re.compile(r"""(?:src|href)=["']?(?:/|https?:)""")
_HEAD = "<head>"

# Stands in for the worker: runs its script in the page, and treats its answer as SnakeViz does (sv_make_worker in
# its snakeviz.js).
_IN_PAGE = """
var sv_in_page = (function () {
  var self = {};
  var importScripts = function () {};
  %s
  return self;
})();
"""
# lodash compiles templates with eval, which a report forbids. SnakeViz's two only put values in.
_NO_EVAL = """
_.template = function (text) {
  return function (values) {
    return text.replace(/<%([-=])\\s*(\\w+)\\s*%>/g, function (whole, kind, name) {
      return kind === "-" ? _.escape(values[name]) : String(values[name]);
    });
  };
};
"""
# A frame that is not laid out yet has no width, and SnakeViz then finds nothing wide enough to draw, and stops.
_NO_WORKER = """
var sv_when_laid_out = function (draw) {
  if (window.innerWidth > 150 && window.innerHeight > 100) { draw(); return; }
  window.addEventListener("resize", function () { sv_when_laid_out(draw); }, {once: true});
};
sv_make_worker = function () {
  var ended = false;
  sv_end_worker = function () { ended = true; sv_hide_working(); };
  return {postMessage: function (message) {
    _.defer(function () {
      if (ended) { return; }
      sv_in_page.postMessage = function (text) {
        var tree = JSON.parse(text);
        if (cache_key != null) { sv_json_cache[cache_key] = tree; }
        sv_when_laid_out(function () { redraw_vis(tree); _.defer(sv_hide_working); });
      };
      try {
        sv_in_page.onmessage({data: message});
      } catch (error) {
        console.error(error);
        sv_show_error_msg();
        sv_hide_working();
      }
    });
  }};
};
"""

_ADDED = {"vendor/lodash.min.js": _NO_EVAL, "snakeviz.js": _NO_WORKER}


def snakeviz_page(profile: Profile, metric: str | None = None, *, most: int | None = None) -> str:
    """One metric (None: the default) of a profile in SnakeViz, as a self-contained HTML page. ``most`` limits it to the
    functions with the largest totals.

    SnakeViz labels every number as seconds; for other units the root's name says what 1 s stands for. It draws from
    functions and their callers, not from stacks, and scales children to their parent. Raises WorkbenchError for a
    profile without functions, ToolError if the page of the installed SnakeViz is not the known one.
    """
    # slow to import, and only needed here
    from snakeviz.stats import json_stats, table_rows  # type: ignore[import-untyped]
    from tornado.template import Loader

    if profile.functions.empty:
        raise WorkbenchError("there is no function to show", where=profile.name)
    package = files("snakeviz")
    stats: Any = pstats.Stats()
    stats.stats = _heaviest(to_stats(profile, metric), most)
    title = f"{PurePath(profile.name).name} ({profile.metric(metric).name})"
    try:
        template = Loader(str(package / "templates")).load("viz.html")
        page = template.generate(
            # the template takes what is between the last / and the first dot for the title
            profile_name=title.replace("/", "\u2215").replace(".", "\u2024"),
            table_rows=_script_json(table_rows(stats)),
            callees=_script_json(json_stats(stats)),
        ).decode()
        return _self_contained(page, package / "static")
    except OSError as error:
        raise ToolError(f"SnakeViz is not completely installed: {error}", where="snakeviz") from error


def snakeviz_frame(
    profile: Profile, metric: str | None = None, *, height_px: int = 900, most: int = MOST_FUNCTIONS
) -> View:
    """The same page in a notebook cell: a sandboxed frame that holds the page itself and can reach nothing.

    Functions beyond the ``most`` heaviest are left out, which is said below the frame.
    """
    page = snakeviz_page(profile, metric, most=most)
    title = f"SnakeViz of {profile.name}"
    left_out, said = len(profile.functions) - most, ""
    if left_out > 0:
        said = f"The {left_out:,} of {len(profile.functions):,} functions with the smallest totals are left out."
    return View(
        markup("report/snakeviz", title=title, page=page, height=int(height_px), said=said),
        f"{title}: shown in a browser. {said}".rstrip(),
    )


@contextmanager
def serve_snakeviz(profile: Profile, metric: str | None = None, *, port: int = 0) -> Iterator[str]:
    """Serve the page, and nothing else, on 127.0.0.1 at ``port`` (0: a free one) while the context is open.

    Gives its address, whose path is random: other users of the machine do not know it. Raises ToolError when the port
    is taken.
    """
    path = f"/{secrets.token_urlsafe(16)}/"
    page = snakeviz_page(profile, metric).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # only the address is served: a host name that resolves to it may be another site's
            asked_for = self.headers.get("Host", "").rpartition(":")[0] == LOOPBACK
            if not asked_for or not secrets.compare_digest(self.path.encode(), path.encode()):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Requests are not logged."""

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except (OSError, OverflowError) as error:
        raise ToolError(f"cannot listen: {error}", where=f"{LOOPBACK}:{port}", hint="Choose another port") from error
    thread = threading.Thread(target=server.serve_forever, name="snakeviz", daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _heaviest(stats: Stats, most: int | None) -> Stats:
    """The entries with the largest cumulative times, roots that were added for all of them included."""
    if most is None or len(stats) <= most:
        return stats
    kept = set(sorted(stats, key=lambda key: -stats[key][3])[: most + 1])
    return {
        key: (*entry[:4], {caller: numbers for caller, numbers in entry[4].items() if caller in kept})
        for key, entry in stats.items()
        if key in kept
    }


def _script_json(value: Any) -> str:
    """JSON that can stand in a script: no name in it can end the script or begin a comment."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e")


def _self_contained(page: str, static: Traversable) -> str:
    """SnakeViz's page with all it would fetch put in, links taken out, and a policy that enforces this."""
    page = _once(_WORKER, lambda match: _in_script(_IN_PAGE % match[1]), page, "its worker")
    page = _STYLE.sub(lambda match: markup("report/style", rules=safe(_style(match[1], static))), page)
    page = _SCRIPT.sub(lambda match: _in_script(_script(match[1], static)), page)
    page = _LINK.sub(lambda match: match[1], page)
    outside = _OUTSIDE.search(_INLINE.sub("", page))
    if outside or _HEAD not in page:
        raise _unknown_page("the files that it loads")
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in _INLINE.findall(page))
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:"
    return page.replace(_HEAD, _HEAD + markup("report/policy", policy=safe(policy)), 1)


def _in_script(code: str) -> str:
    return markup("report/script", code=safe(code))


def _once(pattern: re.Pattern[str], replacement: Any, page: str, what: str) -> str:
    page, count = pattern.subn(replacement, page)
    if count != 1:
        raise _unknown_page(what)
    return page


def _unknown_page(what: str) -> ToolError:
    return ToolError(
        f"the page of this SnakeViz differs from that of 2.2 in {what}", where="snakeviz", hint="Install snakeviz 2.2"
    )


def _script(name: str, static: Traversable) -> str:
    text = static.joinpath(name).read_text(encoding="utf-8").replace("</script", "<\\/script")
    return text + _ADDED.get(name, "")


def _style(name: str, static: Traversable) -> str:
    def image(match: re.Match[str]) -> str:
        file = static.joinpath(match[1])
        # its style sheet names two pictures that it does not come with
        data = base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""
        return f"url(data:image/png;base64,{data})"

    return _IMAGE.sub(image, static.joinpath(name).read_text(encoding="utf-8"))


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
