# answer: [1.41421, [1.0, 1.0], [2.0, 0.5], 12.0, [3, 2], 5, 0.5, [3.0, 1.0]]
import numpy as np
from scipy import optimize

root = optimize.brentq(lambda x: x * x - 2, 0, 2)
valley = optimize.minimize(optimize.rosen, [0.0, 0.0], jac=optimize.rosen_der, method="BFGS")
x = np.linspace(0, 4, 40)
curve, _ = optimize.curve_fit(lambda x, a, b: a * np.exp(-b * x), x, 2 * np.exp(-0.5 * x), p0=[1, 1])
plan = optimize.linprog([-3, -2], A_ub=[[1, 1], [1, 3]], b_ub=[4, 6], bounds=[(0, 4), (0, None)], method="highs")
whole = optimize.milp([-1, -1], constraints=optimize.LinearConstraint([[2, 1], [1, 2]], ub=[8, 7]), integrality=[1, 1])
costs = np.array([[4, 1, 3], [2, 0, 5], [3, 2, 2]])
rows, columns = optimize.linear_sum_assignment(costs)
least = optimize.least_squares(lambda p: [p[0] - 3, p[1] - 1], [0.0, 0.0])
bounded = optimize.minimize(lambda p: (p[0] - 1) ** 2, [0.0], method="SLSQP", bounds=[(0, 0.5)])
reply([
    round(root, 5), [round(float(v), 3) for v in valley.x], [round(float(v), 4) for v in curve], -float(plan.fun),
    [round(v) for v in whole.x], int(costs[rows, columns].sum()), round(float(bounded.x[0]), 3), [round(float(v), 3) for v in least.x],
])
