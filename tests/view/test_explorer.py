"""The page in a browser: what it draws is the mask, and what it is told to do happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium

from maskc import compile_mask
from maskc.view.explorer.page import page
from maskc.view.looked_at import looked_at
from maskc.view.scene import Scene, block_for
from maskc.view.shares import Looker
from maskc.view.tile_counts import tile_counts

pytestmark = pytest.mark.browser

DOC = np.repeat(np.arange(4), [20, 8, 26, 10])
SIZE = 64

MASKS: list[tuple[str, dict[str, Any]]] = [
    ("causal", {}),
    ("causal & window(9)", {}),
    ("full", {}),
    ("k > q", {}),
    ("causal & same_doc | sinks(2)", {"doc": DOC}),
    ("input doc: int; doc[q] == doc[k]", {"doc": (DOC, DOC[::-1].copy())}),
    ("axis h = 8, w = 8\nnatten(h, 5) & natten(w, 3)", {}),
    ("dilated(20, 3) ^ (q // 8 == k // 8)", {}),
    (
        "input bias: float; topk(bias[head, k], 9, where = causal)",
        {"bias": np.linspace(-1, 1, 2 * SIZE).reshape(2, SIZE) ** 2},
    ),
    ("param layer: int\ncausal & where(layer % 2 == 0, window(4), valid[k])\ninput valid: bool",
     {"valid": np.arange(SIZE) % 5 != 0}),
    ("float(q) / (k + 1.0) < 2.5 & -7 // 2 <= (q - k) % -5", {}),
]  # fmt: skip


def scene(text: str, inputs: dict[str, Any], size: int = SIZE, **constants: Any) -> Scene:
    sizes = {
        "batch_size": 1, "num_heads": 2, "num_kv_heads": 2, "q_len": size, "kv_len": size,
    }  # fmt: skip
    return Scene(compile_mask(text, **constants), sizes, inputs, head=1, block=block_for(size))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


class Opened:
    """A page that is open, and what its console said."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1200, "height": 800}, **context}
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.wait()

    def hear(self, message: Any) -> None:
        if "willReadFrequently" not in message.text:  # it is the test that reads
            self.said.append(message.text)

    def wait(self) -> None:
        self.page.locator("body[data-state=done]").wait_for()

    def matrix(self) -> np.ndarray:
        """Return what is drawn, from the colours of the pixels."""
        self.page.locator("#show-tiles").uncheck()
        self.page.evaluate("fit(), moveCursor(-1, -1), lookAgain()")
        self.wait()
        return np.array(self.page.evaluate(READ))

    def text(self, name: str) -> str:
        return str(self.page.locator(name).inner_text())


READ = """() => {
    const { q_len, kv_len } = state.sizes, ratio = devicePixelRatio, { full, empty } = colours();
    const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const is = (at, colour) => colour.every((part, n) => image.data[at + n] === part);
    return Array.from({ length: q_len }, (_, i) => Array.from({ length: kv_len }, (_, j) => {
        const { x, y } = pixelOf(state.view, i + 0.5, j + 0.5);
        const at = 4 * (Math.floor(y * ratio) * image.width + Math.floor(x * ratio));
        return is(at, full) ? 1 : is(at, empty) ? 0 : -1;
    }));
}"""


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    made: list[Opened] = []

    def open_page(text: str, inputs: dict[str, Any] | None = None, **more: Any) -> Opened:
        context = {name: more.pop(name) for name in ("viewport", "color_scheme") if name in more}
        path = tmp_path / f"{len(made)}.html"
        path.write_text(page(scene(text, inputs or {}, **more)), encoding="utf-8")
        made.append(Opened(browser, path, **context))
        return made[-1]

    yield open_page
    for one in made:
        assert one.said == []
        assert all(re.match("file://|data:", url) for url in one.asked), one.asked
        one.context.close()


def dense(text: str, inputs: dict[str, Any], size: int = SIZE, **constants: Any) -> np.ndarray:
    shown = scene(text, inputs, size, **constants)
    at = np.arange(size)
    return Looker(shown, looked_at(shown)).mask(at[:, None], at[None]).astype(int)


@pytest.mark.parametrize(("text", "inputs"), MASKS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pixels_are_the_mask(
    opened: Any, text: str, inputs: dict[str, Any], scheme: str
) -> None:
    given = {"layer": 0} if "layer" in text else {}
    found = opened(text, inputs, color_scheme=scheme).matrix()
    assert (found == dense(text, inputs, **given)).all()


def test_a_slider_moves_the_mask(opened: Any) -> None:
    one = opened("param width = 5\ncausal & window(width) | sinks(2)")
    slider = one.page.get_by_role("slider", name="width")
    slider.focus()
    for _ in range(4):
        slider.press("ArrowRight")
    assert (one.matrix() == dense("causal & window(9) | sinks(2)", {})).all()
    assert "changed" in one.page.locator("#program .knob", has_text="width").get_attribute("class")
    box = one.page.get_by_role("spinbutton", name="queries")
    box.fill("40")
    box.press("Enter")
    assert (one.matrix() == dense("causal & window(9) | sinks(2)", {}, 40)).all()
    assert one.text("#summary").startswith("40 queries, 40 keys")


def test_layers(opened: Any) -> None:
    text = "param layer: int\ncausal & where(layer % 2 == 0, window(4), true)"
    one = opened(text)
    assert (one.matrix() == dense(text, {}, layer=0)).all()
    one.page.get_by_role("slider", name="layer", exact=True).press("ArrowRight")
    assert (one.matrix() == dense(text, {}, layer=1)).all()


def test_the_pointer_asks_why(opened: Any) -> None:
    one = opened("causal & window(30)\nscore = score * 2")
    point(one, 57, 12)
    assert one.text("#why").splitlines()[0] == "query 57 does not see key 12"
    assert "window(30): abs(q - k) = 45, not < 30" in one.text("#why").replace("\n", "")
    point(one, 57, 40)
    told = one.text("#why").replace("\n", "")
    assert told.startswith("query 57 sees key 40")
    assert "score 1 → score * 2 = 2" in told
    assert "Query 57 sees 30 of 64 keys." in told


def point(one: Opened, i: int, j: int) -> None:
    at = one.page.evaluate(f"pixelOf(state.view, {i} + 0.5, {j} + 0.5)")
    box = one.page.locator("#matrix").bounding_box()
    one.page.mouse.move(box["x"] + at["x"], box["y"] + at["y"])


def test_the_wheel_zooms_about_the_pointer_and_a_drag_moves(opened: Any) -> None:
    one = opened("causal & window(512)", size=4096)
    point(one, 2048, 2048)
    before = one.page.evaluate("({ ...state.view })")
    for _ in range(8):
        one.page.mouse.wheel(0, -240)
    one.wait()
    after = one.page.evaluate("({ ...state.view })")
    assert after["x"] > 50 * before["x"]
    at = one.page.evaluate("pixelOf(state.view, 2048.5, 2048.5)")
    again = one.page.evaluate("elementAt(state.view, " + str(at).replace("'", '"') + ")")
    assert abs(again["x"] - 2048.5) < 1
    box = one.page.locator("#matrix").bounding_box()
    one.page.mouse.move(box["x"] + 300, box["y"] + 300)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + 200, box["y"] + 250)
    one.page.mouse.up()
    moved = one.page.evaluate("({ ...state.view })")
    assert moved["left"] == pytest.approx(after["left"] + 100 / after["x"])
    assert moved["top"] == pytest.approx(after["top"] + 50 / after["y"])


def test_keys_move_zoom_and_tell(opened: Any) -> None:
    one = opened("causal")
    canvas = one.page.locator("#matrix")
    canvas.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Shift+ArrowDown"):
        canvas.press(key)
    tile = one.page.evaluate("state.tile")
    assert one.text("#why").splitlines()[0] == f"query {1 + tile} sees key 1"
    scale = one.page.evaluate("state.view.x")
    canvas.press("+")
    assert one.page.evaluate("state.view.x") > scale
    canvas.press("0")
    assert one.page.evaluate("state.view.x") == scale
    canvas.press("Escape")
    assert "Point at a pair" in one.text("#why")


def test_what_a_screen_reader_finds(opened: Any) -> None:
    one = opened("axis h = 8, w = 8\nnear(h, 2) & near(w, 2); score = score - 2.0")
    assert one.page.get_by_role("img", name=re.compile("64 queries, 64 keys: .* partial")).count()
    assert one.page.get_by_role("img", name=re.compile("What query 32 sees")).count() == 1
    assert one.page.locator("[aria-live=polite]").count() == 1
    for control in one.page.locator("button, input, select").all():
        name = control.evaluate(
            "(node) => node.ariaLabel || node.labels?.[0]?.textContent || node.textContent"
        )
        assert name, control.evaluate("(node) => node.outerHTML")


def test_the_score_is_a_heat_map(opened: Any) -> None:
    one = opened("causal; score = score - 0.5 * (q - k)")
    one.page.locator("#show-score").click()
    one.wait()
    assert "-30.5" in one.text("#legend")
    assert "what a score of 1 becomes" in one.text("#legend")


def test_the_tiles_are_those_of_maskc(opened: Any) -> None:
    """Where the page looks at every pair, and where it looks at some of each tile."""
    for size in (1024, 8192):
        one = opened("causal & window(300)", size=size)
        shown = scene("causal & window(300)", {}, size)
        expected = tile_counts(Looker(shown, looked_at(shown)))
        assert expected is not None
        found = one.page.evaluate("tiles.counts")
        assert found == expected.kinds
        assert ("from every pair" in one.text("#how")) is (size == 1024)


def test_a_hundred_thousand_tokens(opened: Any) -> None:
    one = opened("causal & window(4096)", size=100_000)
    shares = one.page.evaluate("[tiles.true / tiles.seen, findings.isExact]")
    assert shares[0] == pytest.approx(0.04012, rel=0.03)
    assert shares[1] is False
    assert "estimated from" in one.text("#how")


def test_what_cannot_be_evaluated_is_told(opened: Any) -> None:
    one = opened("param n = 3\nq % n == 0")
    box = one.page.get_by_role("spinbutton", name="n", exact=True)
    box.fill("0")
    box.press("Enter")
    told = one.page.locator("#trouble")
    told.filter(has_text="a division by zero").wait_for()
    assert one.text("#trouble") == "This cannot be evaluated: a division by zero."
    box.fill("4")
    box.press("Enter")
    told.wait_for(state="hidden")


def test_a_phone(opened: Any) -> None:
    one = opened("causal & window(9)", viewport={"width": 390, "height": 844})
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (one.matrix() == dense("causal & window(9)", {})).all()


def test_text_is_never_markup(opened: Any) -> None:
    one = opened("causal  # <b>bold</b></script><script>alert(1)</script> & <img src=x>")
    assert "</script><script>alert(1)" in one.text("#program")
    assert one.page.locator("b, img").count() == 0


def test_a_planted_fault_is_seen(opened: Any) -> None:
    one = opened("causal")
    one.page.evaluate("state.offset = 1, restart()")
    assert (one.matrix() != dense("causal", {})).any()
