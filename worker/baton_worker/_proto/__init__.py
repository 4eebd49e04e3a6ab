"""Generated from proto/raft.proto by tools/generate; not part of the package's interface."""
