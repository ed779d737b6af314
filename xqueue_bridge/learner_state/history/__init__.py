"""What a learner's rows held after each write."""
