"""Generated from proto/baton/v1/worker.proto by tools/generate; not part of the package's interface."""
