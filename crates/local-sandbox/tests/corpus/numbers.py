# answer: ["0.30", "1/3", 2.5, 120, "3.1415926536"]
import decimal
import fractions
import math
import statistics

decimal.getcontext().prec = 28
exact = (decimal.Decimal("0.1") + decimal.Decimal("0.2")).quantize(decimal.Decimal("0.01"))
third = fractions.Fraction(2, 6)
middle = statistics.median([1, 2, 3, 4])
reply([str(exact), str(third), middle, math.factorial(5), f"{math.pi:.10f}"])
