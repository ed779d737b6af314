"""The demo's pull grader: a small program that uses the XQueue protocol and runs Python answers.

It imports neither Django nor the bridge's server modules.
"""
