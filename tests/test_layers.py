"""What ``lint-imports`` doesn't see: a package and a module of its own, and what nobody imports."""

from __future__ import annotations

from graphlib import TopologicalSorter

import grimp


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = grimp.build_graph("flowers_onnx", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert {"flowers_onnx.classifier", "flowers_onnx.results"} <= imports.keys()
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_every_module_is_reached_by_import_statements() -> None:
    # What is imported by a name in a string is missing from a frozen program.
    graph = grimp.build_graph("flowers_onnx", exclude_type_checking_imports=True, cache_dir=None)
    reached, waiting = set(), {"flowers_onnx.__main__"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        package = module.rpartition(".")[0]
        waiting |= graph.find_modules_directly_imported_by(module) | ({package} - {""})
        waiting -= reached
    assert graph.modules - reached == set()
