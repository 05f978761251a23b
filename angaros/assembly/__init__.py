"""The one place that knows all drivers: reading the configuration, wiring the rooms, showing what there is."""
