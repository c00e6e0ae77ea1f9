"""Causes between modules: what a module computes itself from what it receives and what the modules in it return."""
