"""Other projects' test suites on aioxide: see README.md."""
