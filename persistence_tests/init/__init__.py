"""Writes a first scenario for somebody's own stack, from what its files and the engine show. It only reads."""
