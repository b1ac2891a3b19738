"""Nothing in the product runs code, opens pickles or builds SQL from what it was given: no source says so."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.test_files import ROOT, sources

FORBIDDEN_NAMES = {"eval", "exec", "__import__", "compile"}
FORBIDDEN_CALLS = {"torch.load", "os.system", "os.popen", "yaml.load", "subprocess.getoutput"}
FORBIDDEN_METHODS = {"extractall"}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}


def findings(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"import {name}" for name in names if name.partition(".")[0] in FORBIDDEN_MODULES]
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_NAMES:
            found.append(node.func.id)
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            if f"{owner}.{node.func.attr}" in FORBIDDEN_CALLS or node.func.attr in FORBIDDEN_METHODS:
                found.append(f"{owner}.{node.func.attr}")
        for keyword in node.keywords:
            if keyword.arg in ("shell", "allow_pickle") and getattr(keyword.value, "value", True) is not False:
                found.append(f"{keyword.arg}={ast.unparse(keyword.value)}")
        if isinstance(node.func, ast.Name) and node.func.id == "text" and node.args:
            found += [f"SQL with {name}" for name in inserted(node.args[0]) if not name.strip("_").isupper()]
    return found


def inserted(text: ast.expr) -> list[str]:
    """What an f-string inserts; constants of a module, in capitals, are no input."""
    if not isinstance(text, ast.JoinedStr):
        return []
    return [ast.unparse(part.value) for part in text.values if isinstance(part, ast.FormattedValue)]


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "exec(x)",
        "torch.load(p)",
        "yaml.load(p)",
        "import pickle",
        "from pickle import loads",
        "subprocess.run(c, shell=True)",
        "np.load(p, allow_pickle=flag)",
        "archive.extractall()",
        "text(f'SELECT * FROM {name}')",
    ],
)
def test_the_gate_sees_it(source: str) -> None:
    assert findings(ast.parse(source))


def test_no_source_contains_it() -> None:
    found = {str(path.relative_to(ROOT)): bad for path in sources() if (bad := findings(ast.parse(path.read_text())))}
    assert found == {}
