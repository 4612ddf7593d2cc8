"""Generated cases: every refusal is one of the project's own errors, nothing hangs, takes memory or runs code."""
