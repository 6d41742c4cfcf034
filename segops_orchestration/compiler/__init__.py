"""Typed segment definitions -> parameterised ClickHouse SQL. Pure functions, no I/O.

``segment.compile_members`` answers "who is in at T"; ``moved.compile_moved`` answers "whose answer can have
changed by time alone since T0". Values are always bound parameters; identifiers come from this package only.
"""
