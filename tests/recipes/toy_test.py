#!/usr/bin/env python3
"""What toy.py counts as found and as good."""
import unittest

from toy import LAYOUTS, judge


class Judge(unittest.TestCase):
    def points(self, layout, deviations, each=10):
        """`each` points of every mode, so many standard deviations to its right."""
        away = deviations * LAYOUTS[layout]["deviation"]
        return [(x + away, y) for x, y in LAYOUTS[layout]["means"] for _ in range(each)]

    def test_all_modes(self):
        for layout, modes in (("ring", 8), ("grid", 25)):
            for deviations, expected in ((0, (modes, 1)), (2.9, (modes, 1)), (3.1, (0, 0))):
                self.assertEqual(expected, judge(self.points(layout, deviations),
                                                 LAYOUTS[layout]))

    def test_a_mode_needs_a_tenth_of_its_share(self):
        points = self.points("ring", 0, 100)[100:]  # seven modes with 100 each
        x, y = LAYOUTS["ring"]["means"][0]
        far = [(5.0, 5.0)]
        self.assertEqual((8, 710 / 800), judge(points + [(x, y)] * 10 + far * 90, LAYOUTS["ring"]))
        self.assertEqual((7, 709 / 800), judge(points + [(x, y)] * 9 + far * 91, LAYOUTS["ring"]))

    def test_between_modes(self):
        ring = LAYOUTS["ring"]["means"]
        middle = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(ring, ring[1:])]
        self.assertEqual((0, 0), judge(middle, LAYOUTS["ring"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
