"""A verdict as JUnit XML, which build servers show test by test."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from evalharness.escaping import xml_text
from evalharness.gate.cells import remarks
from evalharness.gate.verdict import GateVerdict, Row
from evalharness.gate.wording import amount, bounds

_PROPERTIES = (
    "baseline_value",
    "candidate_value",
    "difference",
    "low",
    "high",
    "margin",
    "p_worse",
    "p_adjusted",
    "detectable_drop",
    "n",
    "n_better",
    "n_worse",
    "n_needed",
)
_TYPES = {"fail": "regression", "inconclusive": "inconclusive", "not comparable": "not comparable"}


def to_junit(verdict: GateVerdict) -> bytes:
    """Return one test suite for each baseline and one test case a row.

    fail is a ``failure`` of type regression, not comparable an ``error``, inconclusive ``skipped``, or a failure where the
    gate's policy makes it one. Rows that do not count are skipped, whatever came of them. The verdict of the whole gate is a
    test case of its own, so that a build is red exactly when the exit code is not 0.
    """
    root = ElementTree.Element("testsuites", {"name": xml_text(f"evalharness gate {verdict.name}")})
    for baseline in dict.fromkeys(row.baseline for row in verdict.rows):
        rows = [row for row in verdict.rows if row.baseline == baseline]
        suite = ElementTree.SubElement(root, "testsuite", {"name": xml_text(f"gate vs {baseline}")})
        for row in rows:
            _add_row(suite, row, verdict)
        _count(suite)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "gate"})
    case = ElementTree.SubElement(suite, "testcase", {"classname": "gate", "name": f"verdict {xml_text(verdict.name)}"})
    if verdict.exit_code:
        kind = "error" if verdict.verdict == "not comparable" else "failure"
        detail = {"type": _TYPES[verdict.verdict], "message": xml_text(verdict.sentence)}
        ElementTree.SubElement(case, kind, detail)
    elif verdict.verdict != "pass":
        ElementTree.SubElement(case, "skipped", {"message": xml_text(verdict.headline)})
    _count(suite)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(each.get(name, "0")) for each in root)))
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _add_row(suite: ElementTree.Element, row: Row, verdict: GateVerdict) -> None:
    name = f"{row.name} {row.metric}".strip()
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": xml_text(f"{row.kind}.{row.baseline}"), "name": xml_text(name)}
    )
    known = {name: getattr(row, name) for name in _PROPERTIES if getattr(row, name) is not None}
    if known:
        properties = ElementTree.SubElement(case, "properties")
        for key, value in known.items():
            ElementTree.SubElement(properties, "property", {"name": key, "value": repr(value)})
    found = _outcome(row, verdict)
    if found is not None:
        tag, attributes = found
        ElementTree.SubElement(case, tag, {**attributes, "message": xml_text(_message(row))})


def _outcome(row: Row, verdict: GateVerdict) -> tuple[str, dict[str, str]] | None:
    """Return the element that says what came of a row, and its type; None where it passed."""
    if row.verdict == "pass":
        return None
    if not row.counts:
        return "skipped", {}
    if row.verdict == "not comparable":
        return "error", {"type": _TYPES[row.verdict]}
    if row.verdict == "inconclusive" and verdict.config["on_inconclusive"] != "fail":
        return "skipped", {}
    return "failure", {"type": _TYPES[row.verdict]}


def _message(row: Row) -> str:
    parts = [f"{row.verdict}: {remarks(row)}"]
    if row.difference is not None:
        parts.append(f"difference {amount(row.difference, row.scale, row.unit)}")
    if row.low is not None and row.high is not None:
        parts.append(bounds(row.low, row.high, row.scale, row.unit))
    if row.p_adjusted is not None:
        parts.append(f"p_adjusted={row.p_adjusted:.3g}")
    return " ".join(parts)


def _count(suite: ElementTree.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
