"""The operator's page and the black box: what people see of robots that drive, and what is kept of what went wrong."""
