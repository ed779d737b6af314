"""The unit tests of the exercise "median"."""

import unittest

from answer import median


class TestMedian(unittest.TestCase):
    def test_odd(self):
        """Of an odd number of values"""
        self.assertEqual(median([3, 1, 2]), 2)

    def test_even(self):
        """Of an even number of values"""
        self.assertEqual(median([4, 1, 2, 3]), 2.5)

    def test_argument(self):
        """The argument is not changed"""
        values = [3, 1, 2]
        median(values)
        self.assertEqual(values, [3, 1, 2])
