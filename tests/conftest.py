"""What all Python tests share: `make test RUN=NAME` runs those whose name begins with NAME (the environment's BATON_RUN)."""

import os


def pytest_collection_modifyitems(config, items):
    wanted = os.environ.get("BATON_RUN", "")
    chosen = [item for item in items if item.name.startswith(wanted) or item.nodeid.split("::")[1].startswith(wanted)]
    left_out = [item for item in items if item not in chosen]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen
