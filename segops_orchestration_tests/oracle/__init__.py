"""The independent judge of the engine: a plain evaluator of definitions, its cases, and generated histories.

Nothing here imports the package under test.
"""
