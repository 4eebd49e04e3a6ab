"""A pytest plugin: with BATON_RUN=NAME in the environment (`make test RUN=NAME`), only tests whose name begins so run."""

import os


def pytest_collection_modifyitems(config, items):
    wanted = os.environ.get("BATON_RUN", "")
    # A test's own name, or that of the class around it: path::TestClass::test_method[parameters].
    chosen = [item for item in items if any(part.startswith(wanted) for part in item.nodeid.split("::")[1:])]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
