"""Programs that use every public name, and no private module. ``test_public_api.py`` checks both, and mypy the types.

``examples/`` has programs that run.
"""
