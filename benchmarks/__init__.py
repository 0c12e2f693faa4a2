"""What is measured and how; results are printed, never asserted in tests. See README.md."""
