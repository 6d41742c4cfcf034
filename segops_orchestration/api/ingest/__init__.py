"""Events over HTTP: bodies taken apart, calls gathered into groups, groups written into ClickHouse."""
