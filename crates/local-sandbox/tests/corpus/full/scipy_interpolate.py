# answer: [2.5, 0.4794, 6.25, [1.5, 3.5], 1.0, 1.0, 0.8415]
import numpy as np
from scipy import interpolate

x = np.linspace(0, 3, 13)
linear = interpolate.interp1d([0, 1, 2], [1.0, 2.0, 3.0])
cubic = interpolate.CubicSpline(x, np.sin(x))
pchip = interpolate.PchipInterpolator([0.0, 1, 2, 3], [0.0, 1, 4, 9])
grid = interpolate.RegularGridInterpolator(([0, 1, 2], [0, 1]), np.array([[0.0, 1], [2, 3], [4, 5]]))
scattered = interpolate.griddata(np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), [0.0, 1, 1, 2], [[0.5, 0.5]])
smooth = interpolate.make_smoothing_spline(x, np.sin(x), lam=0)
near = interpolate.make_interp_spline([0.0, 1, 2, 3], [0.0, 1, 4, 9], k=2)
reply([
    float(linear(1.5)), round(float(cubic(0.5)), 4), round(float(near(2.5)), 6), [float(v) for v in grid([[0.5, 0.5], [1.5, 0.5]])],
    round(float(scattered[0]), 9), round(float(pchip(1.0)), 9), round(float(smooth(1.0)), 4),
])
