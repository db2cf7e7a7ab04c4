"""A service in a thread and a real browser, for the tests of the page."""

import contextlib
import os
import shutil
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import uvicorn
from PIL import Image

from recbole_whisperlite.feedback import Feedback
from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.app import make_app
from recbole_whisperlite.serve.shops import Shops
from recommend import shops

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
SCRIPT = "<script>document.title = 'taken over'</script> black belt"
_PATIENCE = 30  # seconds, where the machine is busy
TOKEN = "a-token-of-many-letters"


def write_models(folder):
    """Write four models, and pictures."""
    (folder / "pictures").mkdir()
    for number, (*_, image) in enumerate(shops.ITEMS):
        if image:
            colour = (20 * number, 120, 255 - 20 * number)
            Image.new("RGB", (90, 120), colour).save(folder / "pictures" / image)
    for name, shop in {
        "plus": shops.shop("WhisperLitePlus"),
        "many": shops.shop("WhisperLitePlus"),
        "bm25": shops.shop("BM25"),
        "seeing": shops.shop("WhisperLite", pictures=shops.picture_vectors()),
    }.items():
        if name == "plus":
            shop.add_items([{"item_id": "a/b?", "title": SCRIPT, "price": 5.0}])
        if name == "many":  # more than an answer shows
            titles = [f"{colour} gloves" for colour in ("white", "blue", "black")] * 8
            shop.add_items(
                [{"item_id": f"g{n}", "title": title} for n, title in enumerate(titles)]
            )
        shop.save(folder / name)


@contextlib.contextmanager
def serving(folder, *names, feedback=None, **rules):
    """Serve some of the models, and yield the address."""
    options = {"pictures": str(folder / "pictures")}
    models = Shops({name: str(folder / name) for name in names}, options)
    for model in models:
        if model.recommender.knows_pictures:  # by a CLIP model, which is not there
            size = shops.picture_vectors().shape[1]
            model.recommender._pictures = _Eyes(size)
    app = make_app(models, Access(**rules), feedback and Feedback(feedback))
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


class _Eyes:
    """Stands for the CLIP model; a picture is told by its mean."""

    def __init__(self, size):
        self._size = size

    def encode(self, pictures):
        import numpy as np

        mean = [0 if each is None else np.asarray(each).mean() for each in pictures]
        return np.tile(np.float32(mean)[:, None], (1, self._size))


@contextlib.contextmanager
def browsing():
    """Yield a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    # its sandbox does not run as root
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Visit:
    """A visitor of the page, whose browser knows nothing yet.

    Attributes:
        page (playwright.sync_api.Page): What they see.
        problems (list of str): Errors of the console, and requests to other hosts.
        sent (list): ``(path, body)`` of what the page posted.
    """

    def __init__(self, browser, address, **options):
        self.address, self.problems, self.sent = address, [], []
        self._context = browser.new_context(**{"locale": "en-GB", **options})
        self.page = self._context.new_page()
        self.page.set_default_timeout(_PATIENCE * 1000)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._on_request)

    def _on_console(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.text} {message.location}")

    def _on_request(self, request):
        if urlsplit(request.url).scheme in ("http", "https"):
            if not request.url.startswith(self.address + "/"):
                self.problems.append(f"asks another host: {request.url}")
        if request.method == "POST":
            self.sent.append((urlsplit(request.url).path, request.post_data_json))

    def open(self, query=""):
        self.page.goto(f"{self.address}/{query}")
        self.settle()

    def settle(self):
        """Wait until the answer is there."""
        self.page.wait_for_selector("#results[aria-busy='false']")

    def ask(self, text):
        self.page.get_by_role("searchbox").fill(text)
        self.page.keyboard.press("Enter")
        self.wait("document.title === text", text=text)
        self.settle()

    def wait(self, condition, **names):
        """Wait until a condition holds. (Playwright's own way evaluates text in the page,
        which its policy forbids.)"""
        until = time.monotonic() + _PATIENCE
        names, values = ", ".join(names), list(names.values())
        while not self.page.evaluate(f"([{names}]) => {condition}", values):
            assert time.monotonic() < until, condition
            time.sleep(0.02)

    @property
    def products(self):
        """The ids of the products that are shown, in order."""
        return self.page.eval_on_selector_all(
            ".card", "cards => cards.map(card => card.dataset.item)"
        )

    @property
    def shelf(self):
        """The ids of those on the shelf."""
        return self.page.eval_on_selector_all(
            "#shelf [data-item]", "all => all.map(each => each.dataset.item)"
        )

    def button(self, item, action):
        """Return a button of a product's card."""
        return self.page.locator(f".card[data-item='{item}'] [data-do='{action}']")

    def press(self, item, action):
        """Press it, and wait for the new answer."""
        self.press_button(self.button(item, action).first)

    def press_button(self, button):
        before = self.page.evaluate(_N_ANSWERS)
        button.click()
        self.wait(f"{_N_ANSWERS} > before", before=before)
        self.settle()

    def last(self, path):
        """Return the body that was posted last."""
        return [body for to, body in self.sent if to == path][-1]

    def close(self):
        self._context.close()


_N_ANSWERS = "performance.getEntriesByName('answer').length"
