"""When to compound: pure functions over integers. No I/O, no clock, no floats."""
