"""From requests to groups of windows on engines: admission, order, grouping, workers, replacement."""
