"""What turns samples into a model's input, one front end a module."""
