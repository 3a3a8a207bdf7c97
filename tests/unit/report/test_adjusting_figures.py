from __future__ import annotations

import numpy as np
from unblend.core.flags import Flag
from unblend.report.adjusting_figures import before_and_after, chi2_figure, summary

FLAGS = np.array([0, int(Flag.FIT_RETRIED), int(Flag.FIT_RETRIED | Flag.POINT_SOURCE), 0])
CHI2 = np.array([1.02, 1.02, 9.0, np.nan])


def test_the_summary_counts_flags_and_ignores_missing_fits():
    text = summary(CHI2, FLAGS)
    assert text.startswith("4 sources: fit_retried 2, fit_replaced 0, ") and "reduced chi2 1.02 (16 to 84 %" in text


def test_the_histogram_has_galaxies_below_points_and_a_last_bin_for_all_above():
    figure = chi2_figure(CHI2, FLAGS, 1.35)
    galaxies, points = ([bar.get_height() for bar in bars] for bars in figure.axes[0].containers)
    # bins of 0.05 from 0.6: 1.02 is in the ninth
    assert galaxies[8] == 2 and sum(galaxies) == 2
    assert points[-1] == 1 and sum(points) == 1


def test_the_reduced_chi2_of_each_model_over_the_unmasked_segment():
    data, error = np.zeros((4, 5)), np.full((4, 5), 2.0)
    mask, segment = np.zeros((4, 5), dtype=bool), np.zeros((4, 5), dtype=bool)
    segment[1:3, 1:4], mask[1, 1] = True, True
    figure = before_and_after(data, error, mask, {"flat": np.ones((4, 5)), "steep": np.full((4, 5), 4.0)}, segment)
    titles = [axes.get_title() for axes in figure.axes if "chi2" in axes.get_title()]
    # (1 / 2)² and (4 / 2)²
    assert [title.split()[-1] for title in titles] == ["0.25", "4.00"]
