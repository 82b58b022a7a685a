"""The `kerasgen` command, one module a subcommand."""
