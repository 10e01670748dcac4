"""FastVLM against the system it replaces: measure both on the same frames, report, decide. docs/migration.md.

Ways in: `./run compare prompts|bench|decide|report|all` (__main__.py). Each phase leaves a JSON file in one folder, the
next one reads it. Nothing here drives a robot, and nothing that was not measured is assumed.
"""
