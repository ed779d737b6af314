"""The XQueue REST protocol, as pull graders speak it."""
