"""The rooms of the house: what may import what, and how full a folder may be.

Every import counts: those inside functions and those for type checkers too, which ``lint-imports``
may miss and which make a circle all the same.
"""

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_MODULES = 16

Graph = Mapping[str, frozenset[str]]


def graph_of(root: Path) -> Graph:
    """Return what each module of the package ``maskc`` under ``root`` imports of it."""
    paths = {_name(path.relative_to(root)): path for path in (root / "maskc").rglob("*.py")}
    return {name: frozenset(_imports(path, name, set(paths))) for name, path in paths.items()}


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path, own: str, known: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names):
                found = [alias.name for alias in names]
            case ast.ImportFrom(str(module), names, 0):
                found = [f"{module}.{alias.name}" for alias in names]
                found = [name if name in known else module for name in found]
            case _:
                continue
        yield from (name for name in found if name in known and name != own)


def circles(graph: Graph) -> list[set[str]]:
    """Return the sets of modules that import each other, however far round (Tarjan 1972)."""
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index = low[name] = len(low)
        start = len(stack)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in low:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index:
            members = set(stack[start:])
            del stack[start:]
            if len(members) > 1:
                found.append(members)

    for name in sorted(graph):
        if name not in low:
            visit(name)
    return found


def contracts() -> list[list[list[str]]]:
    """Return the layers of each contract in ``pyproject.toml``, from the top down."""
    every = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return [_layers(each) for each in every["contracts"] if each["type"] == "layers"]


def _layers(contract: Mapping[str, list[str]]) -> list[list[str]]:
    inside = [f"{container}." for container in contract.get("containers", [])] or [""]
    return [
        [start + room.strip() for start in inside for room in layer.split("|")]
        for layer in contract["layers"]
    ]


def floor_of(name: str, layers: list[list[str]]) -> tuple[int, str] | None:
    """Return the floor of a module, 0 at the top, and its room; the longest name that fits."""
    rooms = [(len(room), floor, room) for floor, rooms in enumerate(layers) for room in rooms]
    fitting = [one for one in rooms if f"{name}.".startswith(f"{one[2]}.")]
    return max(fitting)[1:] if fitting else None


def upward(graph: Graph, layers: list[list[str]]) -> list[str]:
    """Return the imports that do not lead down, or to another room of the same floor."""
    found = []
    for name in sorted(graph):
        for other in sorted(graph[name]):
            here, there = floor_of(name, layers), floor_of(other, layers)
            if here and there and here[1] != there[1] and there[0] <= here[0]:
                found.append(f"{name} -> {other}")
    return found


def crowded(root: Path) -> list[str]:
    """Return the folders with too many modules."""
    folders = {path.parent for path in (root / "maskc").rglob("*.py")}
    count = {folder: len([*folder.glob("[!_]*.py")]) for folder in folders}
    return sorted(folder.name for folder in folders if count[folder] > MOST_MODULES)


def planted(root: Path, files: Mapping[str, str]) -> Path:
    """Write a small package ``maskc``."""
    for name, text in files.items():
        path = root / "maskc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_circle() -> None:
    assert not circles(graph_of(ROOT))


def test_no_import_leads_up() -> None:
    graph = graph_of(ROOT)
    assert not [found for layers in contracts() for found in upward(graph, layers)]


def test_no_folder_is_crowded() -> None:
    assert not crowded(ROOT)


def test_every_module_of_tracing_has_a_floor() -> None:
    layers = contracts()[1]
    inside = {name for name in graph_of(ROOT) if name.startswith("maskc.tracing.")}
    assert all(floor_of(name, layers) for name in inside)


def test_every_module_has_a_floor() -> None:
    layers = contracts()[0]
    without = {name for name in graph_of(ROOT) if floor_of(name, layers) is None}
    assert without <= {"maskc", "maskc.__main__", "maskc.grammar", "maskc.integrations"}


LATE = "def f():\n    from maskc.b import g\n"
TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from maskc.room.a import f\n"


@pytest.mark.parametrize("back", [LATE, LATE.replace("b import", "b.deep import")])
def test_a_planted_circle_is_seen(tmp_path: Path, back: str) -> None:
    files = {"room/a.py": back, "b/__init__.py": TYPED, "b/deep.py": "import maskc.room.a\n"}
    graph = graph_of(planted(tmp_path, files))
    assert any("maskc.room.a" in members for members in circles(graph))


def test_a_long_circle_is_seen_and_a_diamond_is_none() -> None:
    diamond = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}
    assert not circles({name: frozenset(to) for name, to in diamond.items()})
    ring = {**diamond, "d": {"e"}, "e": {"b"}}
    assert circles({name: frozenset(to) for name, to in ring.items()}) == [{"b", "d", "e"}]


def test_a_planted_import_upwards_is_seen(tmp_path: Path) -> None:
    graph = graph_of(planted(tmp_path, {"room/a.py": LATE, "b.py": "", "c.py": LATE}))
    layers = [["maskc.b", "maskc.c"], ["maskc.room"]]
    assert upward(graph, layers) == ["maskc.c -> maskc.b", "maskc.room.a -> maskc.b"]
    assert upward(graph, [["maskc.room"], ["maskc.c"], ["maskc.b"]]) == []


def test_a_crowded_folder_is_seen(tmp_path: Path) -> None:
    files = {f"room/m{number}.py": "" for number in range(MOST_MODULES)}
    assert crowded(planted(tmp_path, {**files, "room/__init__.py": ""})) == []
    assert crowded(planted(tmp_path, {"room/one_more.py": ""})) == ["room"]
