"""Methods of other libraries, whose results are read into our layers."""
