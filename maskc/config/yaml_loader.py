"""YAML by PyYAML's safe loader, within bounds: a small file cannot stand for a huge value.

Aliases share what they stand for; merges (``<<``) copy it, and merges of merges double with every
line. Every exception of a constructor, such as that of ``!!timestamp foo``, becomes an error with
its place.
"""

from __future__ import annotations

from typing import Any

import yaml

from maskc.config.malformed import MOST_LEVELS, malformed, place_of
from maskc.source import Source, Span

MOST_MERGED = 10_000
"""Keys that all merges of a file may copy."""

MERGE = "tag:yaml.org,2002:merge"


def load(source: Source) -> Any:
    """Return what a YAML file holds.

    Raises:
        LoadError: the text is not YAML, or stands for too much.

    """
    try:
        return _Loader(source.text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise malformed("YAML", error.problem or "unreadable", _place(source, mark)) from None
    except yaml.reader.ReaderError as error:
        place = Span(source, error.position, error.position + 1)
        raise malformed("YAML", error.reason, place) from None
    except RecursionError:
        raise malformed("YAML", "nested too deeply", None) from None


class _Loader(yaml.SafeLoader):
    """The safe loader with bounds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0
        self._merged = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node that is not too deep."""
        if self._levels > MOST_LEVELS:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _refused("nested too deeply", mark)
        self._levels += 1
        node = super().compose_node(parent, index)
        self._levels -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Copy the keys that a mapping merges, unless they are very many."""
        for parent in _merged_by(node):
            self.flatten_mapping(parent)
            self._merged += len(parent.value)
            if self._merged > MOST_MERGED:
                raise _refused(f"merges copy more than {MOST_MERGED} keys", node.start_mark)
        super().flatten_mapping(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; what its constructor cannot read is shown at its place."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception:
            kind = node.tag.rpartition(":")[2]
            raise _refused(f"the value is no `{kind}`", node.start_mark) from None


def _merged_by(node: yaml.MappingNode) -> list[yaml.MappingNode]:
    """Return the mappings whose keys a mapping takes over."""
    parents: list[yaml.MappingNode] = []
    for key, value in node.value:
        if key.tag == MERGE:
            listed = value.value if isinstance(value, yaml.SequenceNode) else [value]
            parents += [parent for parent in listed if isinstance(parent, yaml.MappingNode)]
    return parents


def _refused(reason: str, mark: yaml.Mark | None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=mark)


def _place(source: Source, mark: yaml.Mark | None) -> Span | None:
    return None if mark is None else place_of(source, mark.line + 1, mark.column + 1)
