"""The demo's pull grader: a small program that speaks the XQueue protocol and runs Python answers.

It knows nothing of Django or of the bridge, only the protocol that any XQueue offers.
"""
