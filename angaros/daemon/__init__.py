"""The processes: master, workers, courier, and what they say to each other."""
