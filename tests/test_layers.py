"""What ``lint-imports`` doesn't see of the order of modules: a package and a module of its own."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = grimp.build_graph("flowers_onnx", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert {"flowers_onnx.classifier", "flowers_onnx.results"} <= imports.keys()
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
